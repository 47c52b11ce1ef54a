#include "artifact/quantize_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "artifact/output.hpp"
#include "base/interrupt.hpp"
#include "base/mapped_file.hpp"
#include "base/output_guard.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "gguf/split.hpp"
#include "gguf/writer.hpp"
#include "quant/feedback/second_order.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 18;  // 1 MiB of f32 a thread; rows are never cut

constexpr int64_t kSecondOrderRows = 32;  // of a piece whose codes wait for each other: much work a row

/// Encodes rows of one tensor into the blocks of another format.
class RowEncoder {
 public:
  RowEncoder(const gguf::Tensor& source, const Format& to, const Importance* importance, Effort effort,
             const std::filesystem::path& model)
      : source_(source), from_(*find_format(source.format)), to_(to),
        importance_(importance ? importance->find(source.name) : nullptr), effort_(effort), model_(model) {}

  /// Rows of one expert; `blocks` is resized to fit. `curvature` is that of the rows or nullptr.
  void encode(std::span<const int64_t> rows, const Curvature* curvature, std::vector<float>& weights,
              std::vector<std::byte>& blocks) const {
    const auto count = static_cast<int64_t>(rows.size()), cols = source_.cols();
    weights.resize(static_cast<size_t>(count * cols));
    blocks.resize(static_cast<size_t>(count * to_.row_bytes(cols)));
    for (int64_t r = 0; r < count; ++r) {
      const auto row = std::span{weights}.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols));
      from_.decode(source_.row(rows[static_cast<size_t>(r)]).data(), row);
      check_finite(row, rows[static_cast<size_t>(r)]);
    }
    encode_rows(to_, {weights.data(), count, cols}, columns_of(importance_, source_, rows.front()), curvature,
                effort_, blocks);
  }

 private:
  void check_finite(std::span<const float> weights, int64_t row) const {
    const auto bad = std::ranges::find_if_not(weights, [](float w) { return std::isfinite(w); });
    if (bad == weights.end()) return;
    throw Error{str("tensor '", source_.name, "' holds ", *bad, " at row ", row, ", column ", bad - weights.begin()),
                model_.string(), "the source is damaged or was converted wrongly; convert it again"};
  }

  const gguf::Tensor& source_;
  const Format& from_;
  const Format& to_;
  const TensorImportance* importance_;
  Effort effort_;
  const std::filesystem::path& model_;
};

/// Curvatures for encoders that take them, where there are moments.
class CurvaturesOf {
 public:
  explicit CurvaturesOf(const SecondMoments* moments) : moments_(moments) {
    if (moments) curvatures_.emplace(*moments);
  }
  bool may_have(const gguf::Tensor& source, const Format& to) const {
    return moments_ && moments_->find(source.name) && has_second_order(to);
  }
  std::vector<std::vector<int64_t>> row_sets(const gguf::Tensor& source) const {
    return curvatures_->row_sets(source);
  }
  std::shared_ptr<const Curvature> find(const gguf::Tensor& source, const Format& to, int64_t row) {
    return may_have(source, to) ? curvatures_->find_row(source, row) : nullptr;
  }

 private:
  const SecondMoments* moments_ = nullptr;
  std::optional<Curvatures> curvatures_;
};

/// Writes one tensor in another format, a piece of its rows at a time.
class TensorWriter {
 public:
  TensorWriter(const gguf::Tensor& source, size_t index, const Format& to, const RowEncoder& encoder,
               gguf::Writer& writer, Progress& progress)
      : source_(source),
        index_(index),
        to_(to),
        row_bytes_(static_cast<size_t>(to.row_bytes(source.cols()))),
        encoder_(encoder),
        writer_(writer),
        progress_(progress) {}

  void run(CurvaturesOf& curvatures) {
    if (curvatures.may_have(source_, to_)) {
      for (const auto& rows : curvatures.row_sets(source_))
        write_set(rows, kSecondOrderRows, curvatures.find(source_, to_, rows.front()).get());
    } else {
      const auto sets = matrix_rows(source_);
      const int64_t step = std::max<int64_t>(1, kPieceWeights / source_.cols());
      parallel_for(static_cast<int64_t>(sets.size()),
                   [&](int64_t i) { write_set(sets[static_cast<size_t>(i)], step, nullptr); });
    }
  }

 private:
  void write_set(std::span<const int64_t> rows, int64_t step, const Curvature* curvature) {
    parallel_ranges(static_cast<int64_t>(rows.size()), step, [&](int64_t begin, int64_t end) {
      check_interrupt();
      write(rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), curvature);
    });
  }

  void write(std::span<const int64_t> rows, const Curvature* curvature) {
    thread_local std::vector<float> weights;
    thread_local std::vector<std::byte> blocks;
    encoder_.encode(rows, curvature, weights, blocks);
    for (size_t first = 0, last = 0; first < rows.size(); first = last) {  // neighbours together
      for (last = first + 1; last < rows.size() && rows[last] == rows[last - 1] + 1;) ++last;
      writer_.write(index_, rows[first] * static_cast<int64_t>(row_bytes_),
                    std::span{blocks}.subspan(first * row_bytes_, (last - first) * row_bytes_));
    }
    progress_.advance(static_cast<int64_t>(rows.size()) * source_.row_bytes(), std::string(source_.name));
  }

  const gguf::Tensor& source_;
  const size_t index_;
  const Format& to_;
  const size_t row_bytes_;
  const RowEncoder& encoder_;
  gguf::Writer& writer_;
  Progress& progress_;
};

void copy_tensor(const gguf::Tensor& source, size_t index, gguf::Writer& writer, Progress& progress) {
  constexpr size_t kStep = size_t{8} << 20;
  for (size_t at = 0; at < source.data.size(); at += kStep) {
    check_interrupt();
    const auto part = source.data.subspan(at, std::min(kStep, source.data.size() - at));
    writer.write(index, static_cast<int64_t>(at), part);
    progress.advance(static_cast<int64_t>(part.size()), std::string(source.name));
  }
}

}  // namespace

void check_recipe_fits(const gguf::Reader& model, const Recipe& recipe) {
  std::set<std::string_view> named;
  for (const RecipeTensor& tensor : recipe.tensors) {
    const gguf::Tensor* source = model.find_tensor(tensor.name);
    if (!source)
      throw Error{str("the recipe names tensor '", tensor.name, "', which the model lacks"), model.path().string(),
                  "use the model the recipe was made for"};
    const Format* format = find_format(tensor.format);
    if (source->format != tensor.format && (!format || !format->fits(source->cols()) || !find_format(source->format)))
      throw Error{str("tensor '", tensor.name, "' cannot be ", format_name(tensor.format), ": rows of ", source->cols(),
                      " ", format_name(source->format), " weights"),
                  model.path().string(), "use the model the recipe was made for"};
    named.insert(tensor.name);
  }
  for (const gguf::Tensor& tensor : model.tensors())
    if (!named.contains(tensor.name))
      throw Error{str("the model's tensor '", tensor.name, "' is not in the recipe"), model.path().string(),
                  "use the model the recipe was made for"};
}

WrittenModel quantize_model(const gguf::Reader& model, const Importance* importance, const Recipe& recipe,
                            const std::filesystem::path& out, Existing existing,
                            const SecondMoments* moments) {
  check_recipe_fits(model, recipe);
  gguf::Layout layout = output_layout(model, importance, recipe, out);
  OutputGuard guard{existing};
  guard.reads(gguf::split_files(model.path()));
  for (const gguf::Layout::Shard& shard : layout.shards) guard.writes(shard.path);
  guard.check();
  gguf::Writer writer{std::move(layout), existing};
  int64_t total = 0;
  for (const gguf::Tensor& tensor : model.tensors()) total += static_cast<int64_t>(tensor.data.size());
  Progress progress{"writing", total, Progress::Unit::bytes};
  CurvaturesOf curvatures{moments};

  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const gguf::Tensor& source = *model.find_tensor(recipe.tensors[i].name);
    if (source.format == recipe.tensors[i].format) {
      copy_tensor(source, i, writer, progress);
    } else {
      const Format& to = *find_format(recipe.tensors[i].format);
      const RowEncoder encoder{source, to, importance, recipe.effort, model.path()};
      TensorWriter{source, i, to, encoder, writer, progress}.run(curvatures);
    }
    MappedFile::done_with(source.data);
  }
  WrittenModel written{writer.layout().bytes, {}};
  for (const auto& shard : writer.layout().shards) written.files.push_back(shard.path);
  check_interrupt();
  writer.commit();
  return written;
}

void verify_written(const gguf::Reader& model, const Importance* importance, const Recipe& recipe,
                    const WrittenModel& written, const SecondMoments* moments) {
  const gguf::Reader file{written.files.front()};
  const auto refuse = [&](const std::string& what) {
    throw Error{what, written.files.front().string(), "the disk or memory may be faulty; write it again", Fault::io};
  };
  if (file.file_bytes() != written.bytes) refuse(str("the file has ", file.file_bytes(), " bytes, planned were ", written.bytes));
  if (file.tensors().size() != recipe.tensors.size()) refuse("a tensor is missing");
  std::vector<float> weights;
  std::vector<std::byte> blocks;
  CurvaturesOf curvatures{moments};
  for (const RecipeTensor& wanted : recipe.tensors) {
    const gguf::Tensor* got = file.find_tensor(wanted.name);
    const gguf::Tensor& source = *model.find_tensor(wanted.name);
    if (!got || got->format != wanted.format || got->shape != source.shape)
      refuse(str("tensor '", wanted.name, "' is not what was planned"));
    const RowEncoder encoder{source, *find_format(wanted.format), importance, recipe.effort, model.path()};
    for (const int64_t row : {int64_t{0}, source.rows() / 2, source.rows() - 1}) {
      if (source.format == wanted.format) {
        if (!std::ranges::equal(source.row(row), got->row(row))) refuse(str("row ", row, " of '", wanted.name, "' differs"));
        continue;
      }
      const auto curvature = curvatures.find(source, *find_format(wanted.format), row);
      encoder.encode({&row, 1}, curvature.get(), weights, blocks);
      if (!std::ranges::equal(std::span<const std::byte>{blocks}, got->row(row)))
        refuse(str("row ", row, " of '", wanted.name, "' differs"));
    }
  }
}

}  // namespace snug
