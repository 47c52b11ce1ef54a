#include "artifact/quantize_model.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/interrupt.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "artifact/output.hpp"
#include "gguf/reader.hpp"
#include "gguf/writer.hpp"
#include "encode/encode_tensor.hpp"
#include "quant/feedback/second_order.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 18;  // 1 MiB of f32 a thread; rows are never cut

constexpr int64_t kSecondOrderRows = 32;  // of a piece whose codes wait for each other: much work a row

/// Encodes rows of one tensor into the blocks of another format.
class RowEncoder {
 public:
  RowEncoder(const Tensor& source, const Format& to, const Importance* importance, Effort effort)
      : source_(source), to_(to), importance_(importance ? importance->find(source.name) : nullptr), effort_(effort) {}

  /// Rows of one expert; `blocks` is resized to fit. `curvature` is that of the rows or nullptr.
  void encode(std::span<const int64_t> rows, const Curvature* curvature, std::vector<float>& weights,
              std::vector<std::byte>& blocks) const {
    const auto count = static_cast<int64_t>(rows.size()), cols = source_.cols();
    weights.resize(static_cast<size_t>(count * cols));
    blocks.resize(static_cast<size_t>(count * to_.row_bytes(cols)));
    for (int64_t r = 0; r < count; ++r)
      source_.read_row(rows[static_cast<size_t>(r)],
                       std::span{weights}.subspan(static_cast<size_t>(r * cols), static_cast<size_t>(cols)));
    encode_rows(to_, {weights.data(), count, cols}, columns_of(importance_, source_, rows.front()), curvature,
                effort_, blocks);
  }

 private:
  const Tensor& source_;
  const Format& to_;
  const TensorImportance* importance_;
  Effort effort_;
};

/// Curvatures for encoders that take them, where there are moments.
class CurvaturesOf {
 public:
  explicit CurvaturesOf(const SecondMoments* moments) : moments_(moments) {
    if (moments) curvatures_.emplace(*moments);
  }
  bool may_have(const Tensor& source, const Format& to) const {
    return moments_ && moments_->find(source.name) && has_second_order(to);
  }
  std::vector<std::vector<int64_t>> row_sets(const Tensor& source) const {
    return curvatures_->row_sets(source);
  }
  std::shared_ptr<const Curvature> find(const Tensor& source, const Format& to, int64_t row) {
    return may_have(source, to) ? curvatures_->find_row(source, row) : nullptr;
  }

 private:
  const SecondMoments* moments_ = nullptr;
  std::optional<Curvatures> curvatures_;
};

/// Writes one tensor in another format, a piece of its rows at a time.
class TensorWriter {
 public:
  TensorWriter(const Tensor& source, size_t index, const Format& to, const RowEncoder& encoder,
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

  const Tensor& source_;
  const size_t index_;
  const Format& to_;
  const size_t row_bytes_;
  const RowEncoder& encoder_;
  gguf::Writer& writer_;
  Progress& progress_;
};

void copy_tensor(const Tensor& source, size_t index, gguf::Writer& writer, Progress& progress) {
  constexpr int64_t kStepBytes = int64_t{8} << 20;
  const int64_t row_bytes = source.row_bytes(), step = std::max<int64_t>(1, kStepBytes / row_bytes);
  std::vector<std::byte> blocks;
  for (int64_t r = 0; r < source.rows(); r += step) {
    check_interrupt();
    const int64_t count = std::min(step, source.rows() - r);
    blocks.resize(static_cast<size_t>(count * row_bytes));
    source.read_blocks(r, count, blocks);
    writer.write(index, r * row_bytes, blocks);
    progress.advance(count * row_bytes, std::string(source.name));
  }
}

}  // namespace

void check_recipe_fits(const ModelSource& model, const Recipe& recipe) {
  std::set<std::string_view> named;
  for (const RecipeTensor& tensor : recipe.tensors) {
    const Tensor* source = model.find(tensor.name);
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
  for (const Tensor& tensor : model.tensors())
    if (!named.contains(tensor.name))
      throw Error{str("the model's tensor '", tensor.name, "' is not in the recipe"), model.path().string(),
                  "use the model the recipe was made for"};
}

WrittenModel quantize_model(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                            const std::filesystem::path& out, Existing existing,
                            const SecondMoments* moments) {
  check_recipe_fits(model, recipe);
  gguf::Layout layout = output_layout(model, importance, recipe, out);
  const std::vector<std::filesystem::path> sources{model.files().begin(), model.files().end()};
  for (const gguf::Layout::Shard& shard : layout.shards) check_no_input(shard.path, sources);
  gguf::Writer writer{std::move(layout), existing};
  int64_t total = 0;
  for (const Tensor& tensor : model.tensors()) total += tensor.bytes();
  Progress progress{"writing", total, Progress::Unit::bytes};
  CurvaturesOf curvatures{moments};

  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const Tensor& source = *model.find(recipe.tensors[i].name);
    if (source.format == recipe.tensors[i].format) {
      copy_tensor(source, i, writer, progress);
    } else {
      const Format& to = *find_format(recipe.tensors[i].format);
      const RowEncoder encoder{source, to, importance, recipe.effort};
      TensorWriter{source, i, to, encoder, writer, progress}.run(curvatures);
    }
    source.done_with();
  }
  WrittenModel written{writer.layout().bytes, {}};
  for (const auto& shard : writer.layout().shards) written.files.push_back(shard.path);
  check_interrupt();
  writer.commit();
  return written;
}

void verify_written(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                    const WrittenModel& written, const SecondMoments* moments) {
  const ModelSource file = gguf::read_model(written.files.front());
  const auto refuse = [&](const std::string& what) {
    throw Error{what, written.files.front().string(), "the disk or memory may be faulty; write it again", Fault::io};
  };
  if (file.bytes() != written.bytes) refuse(str("the file has ", file.bytes(), " bytes, planned were ", written.bytes));
  if (file.tensors().size() != recipe.tensors.size()) refuse("a tensor is missing");
  std::vector<float> weights;
  std::vector<std::byte> blocks;
  CurvaturesOf curvatures{moments};
  for (const RecipeTensor& wanted : recipe.tensors) {
    const Tensor* got = file.find(wanted.name);
    const Tensor& source = *model.find(wanted.name);
    if (!got || got->format != wanted.format || got->shape != source.shape)
      refuse(str("tensor '", wanted.name, "' is not what was planned"));
    const RowEncoder encoder{source, *find_format(wanted.format), importance, recipe.effort};
    for (const int64_t row : {int64_t{0}, source.rows() / 2, source.rows() - 1}) {
      if (source.format == wanted.format) {
        blocks.resize(static_cast<size_t>(source.row_bytes()));
        source.read_blocks(row, 1, blocks);
        if (!std::ranges::equal(std::span<const std::byte>{blocks}, got->row(row))) refuse(str("row ", row, " of '", wanted.name, "' differs"));
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
