#include "artifact/quantize_model.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/events.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/read_counter.hpp"
#include "base/str.hpp"
#include "encode/encode_tensor.hpp"
#include "quant/feedback/second_order.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 18;  // 1 MiB of f32 a thread; rows are never cut

constexpr int64_t kStepBytes = int64_t{8} << 20;  // written at a time

constexpr int64_t kSecondOrderRows = 32;  // of a piece whose codes wait for each other: much work a row

/// Encodes rows of one tensor into the blocks of another format.
class RowEncoder {
 public:
  RowEncoder(const Tensor& source, const Format& to, const Importance* importance, Effort effort)
      : source_(source), to_(to), importance_(importance ? importance->find(source.name) : nullptr), effort_(effort) {}

  /// Rows of one expert; `blocks` is resized to fit. `curvature` is that of the rows or nullptr.
  void encode(std::span<const int64_t> rows, const HessianFactor* curvature, std::vector<float>& weights,
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

/// HessianFactors for encoders that take them, where there are moments.
class HessianFactorsOf {
 public:
  explicit HessianFactorsOf(const Hessians* moments) : moments_(moments) {
    if (moments) curvatures_.emplace(*moments);
  }
  bool may_have(const Tensor& source, const Format& to) const {
    return moments_ && moments_->find(source.name) && has_second_order(to);
  }
  std::vector<std::vector<int64_t>> row_sets(const Tensor& source) const {
    return curvatures_->row_sets(source);
  }
  std::shared_ptr<const HessianFactor> find(const Tensor& source, const Format& to, int64_t row) {
    return may_have(source, to) ? curvatures_->find_row(source, row) : nullptr;
  }

 private:
  const Hessians* moments_ = nullptr;
  std::optional<HessianFactors> curvatures_;
};

/// Writes one tensor in another format, a piece of its rows at a time.
class TensorWriter {
 public:
  TensorWriter(const Tensor& source, size_t index, const Format& to, const RowEncoder& encoder,
               ArtifactWriter& writer, Progress& progress)
      : source_(source),
        index_(index),
        to_(to),
        row_bytes_(static_cast<size_t>(to.row_bytes(source.cols()))),
        encoder_(encoder),
        writer_(writer),
        progress_(progress) {}

  void run(HessianFactorsOf& curvatures) {
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
  void write_set(std::span<const int64_t> rows, int64_t step, const HessianFactor* curvature) {
    parallel_ranges(static_cast<int64_t>(rows.size()), step, [&](int64_t begin, int64_t end) {
      check_cancelled();
      write(rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)), curvature);
    });
  }

  void write(std::span<const int64_t> rows, const HessianFactor* curvature) {
    thread_local std::vector<float> weights;
    thread_local std::vector<std::byte> blocks;
    encoder_.encode(rows, curvature, weights, blocks);
    for (size_t first = 0, last = 0; first < rows.size(); first = last) {  // neighbours together
      for (last = first + 1; last < rows.size() && rows[last] == rows[last - 1] + 1;) ++last;
      writer_.write_rows(index_, rows[first],
                         std::span{blocks}.subspan(first * row_bytes_, (last - first) * row_bytes_));
    }
    progress_.advance(static_cast<int64_t>(rows.size()) * source_.row_bytes(), std::string(source_.name));
  }

  const Tensor& source_;
  const size_t index_;
  const Format& to_;
  const size_t row_bytes_;
  const RowEncoder& encoder_;
  ArtifactWriter& writer_;
  Progress& progress_;
};

/// Pieces of a tensor that needs no encoding; blocks_of(row, count): those of so many rows, until the next call.
void write_pieces(const Tensor& source, size_t index, int64_t row_bytes, ArtifactWriter& writer, Progress& progress,
                  const std::function<std::span<const std::byte>(int64_t row, int64_t count)>& blocks_of) {
  const int64_t step = std::max<int64_t>(1, kStepBytes / row_bytes);
  for (int64_t r = 0; r < source.rows(); r += step) {
    check_cancelled();
    const int64_t count = std::min(step, source.rows() - r);
    writer.write_rows(index, r, blocks_of(r, count));
    progress.advance(count * source.row_bytes(), std::string(source.name));
  }
}

void copy_tensor(const Tensor& source, size_t index, ArtifactWriter& writer, Progress& progress) {
  std::vector<std::byte> blocks;
  write_pieces(source, index, source.row_bytes(), writer, progress, [&](int64_t row, int64_t count) {
    blocks.resize(static_cast<size_t>(count * source.row_bytes()));
    source.read_blocks(row, count, blocks);
    return std::span<const std::byte>{blocks};
  });
}

/// Of all `blocks` of a tensor.
std::span<const std::byte> rows_of(std::span<const std::byte> blocks, int64_t row_bytes, int64_t row, int64_t count) {
  return blocks.subspan(static_cast<size_t>(row * row_bytes), static_cast<size_t>(count * row_bytes));
}

void write_known(const Tensor& source, size_t index, const Format& to, std::span<const std::byte> blocks,
                 ArtifactWriter& writer, Progress& progress) {
  const int64_t row_bytes = to.row_bytes(source.cols());
  write_pieces(source, index, row_bytes, writer, progress,
               [&](int64_t row, int64_t count) { return rows_of(blocks, row_bytes, row, count); });
}

/// One row as it should have been written.
std::vector<std::byte> encoded_row(const Tensor& source, int64_t row, FormatId to,
                                   const Importance* importance, Effort effort,
                                   HessianFactorsOf& curvatures) {
  std::vector<std::byte> blocks;
  if (source.format == to) {
    blocks.resize(static_cast<size_t>(source.row_bytes()));
    source.read_blocks(row, 1, blocks);
  } else {
    const Format& format = *find_format(to);
    const auto curvature = curvatures.find(source, format, row);
    std::vector<float> weights;
    RowEncoder{source, format, importance, effort}.encode({&row, 1}, curvature.get(), weights, blocks);
  }
  return blocks;
}

/// Nothing where it is to be encoded.
std::optional<std::vector<std::byte>> known_row(const Tensor& source, int64_t row, FormatId to, const KnownBlocks& known) {
  if (!known || source.format == to) return std::nullopt;
  const std::span<const std::byte> blocks = known(source, *find_format(to));
  if (blocks.empty()) return std::nullopt;
  const auto bytes = rows_of(blocks, find_format(to)->row_bytes(source.cols()), row, 1);
  return std::vector(bytes.begin(), bytes.end());
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

void check_within_budget(const ModelSource& model, const Importance* importance, const Recipe& recipe) {
  if (recipe.budget_kind == BudgetKind::none || recipe.budget_bytes == 0) return;
  int64_t bytes = 0;
  for (const RecipeTensor& tensor : recipe.tensors) {
    const Tensor& source = *model.find(tensor.name);
    const Format* format = find_format(tensor.format);
    bytes += format ? format->row_bytes(source.cols()) * source.rows() : source.bytes();
  }
  if (recipe.budget_kind == BudgetKind::file) bytes = make_artifact(model, importance, recipe.runtime)->layout(recipe).bytes;
  if (bytes <= recipe.budget_bytes) return;
  throw Error{
      str("the recipe takes ", bytes, " bytes, more than its own budget of ", recipe.budget_bytes), "",
      "it was changed by hand: plan again (single tensors can be pinned), or set its budget to what it takes"};
}

WrittenModel quantize_model(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                            const std::filesystem::path& out, Existing existing, const QuantizeOptions& options) {
  check_recipe_fits(model, recipe);
  const std::unique_ptr<Artifact> artifact = make_artifact(model, importance, recipe.runtime);
  const std::unique_ptr<ArtifactWriter> writer = artifact->open(recipe, out, existing);
  int64_t total = 0;
  for (const Tensor& tensor : model.tensors()) total += tensor.bytes();
  Progress progress{"writing", total, Progress::Unit::bytes};
  HessianFactorsOf curvatures{options.moments};

  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const Tensor& source = *model.find(recipe.tensors[i].name);
    if (source.format == recipe.tensors[i].format) {
      copy_tensor(source, i, *writer, progress);
    } else {
      const Format& to = *find_format(recipe.tensors[i].format);
      const std::span<const std::byte> blocks = options.known ? options.known(source, to) : std::span<const std::byte>{};
      const RowEncoder encoder{source, to, importance, recipe.effort};
      if (!blocks.empty())
        write_known(source, i, to, blocks, *writer, progress);
      else
        TensorWriter{source, i, to, encoder, *writer, progress}.run(curvatures);
    }
    source.done_with();
  }
  check_cancelled();
  count_read("writing", total);
  if (options.journal) options.journal->begin(artifact->files(recipe, out));
  return writer->commit();
}

void verify_written(const ModelSource& model, const Importance* importance, const Recipe& recipe,
                    const WrittenModel& written, const QuantizeOptions& options) {
  const std::unique_ptr<ArtifactReader> reader = make_artifact(model, importance, recipe.runtime)->read_back(recipe, written);
  HessianFactorsOf curvatures{options.moments};
  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const Tensor& source = *model.find(recipe.tensors[i].name);
    const FormatId to = recipe.tensors[i].format;
    for (const int64_t row : {int64_t{0}, source.rows() / 2, source.rows() - 1}) {
      const auto known = known_row(source, row, to, options.known);
      if (!reader->holds_rows(i, row, known ? *known : encoded_row(source, row, to, importance, recipe.effort, curvatures)))
        throw Error{str("row ", row, " of '", source.name, "' differs"), written.files.front().string(),
                    "the disk or memory may be faulty; write it again", Fault::io};
    }
  }
}

}  // namespace snug
