#include "fit/quantize_model.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <set>

#include "base/interrupt.hpp"
#include "base/mapped_file.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "fit/output.hpp"
#include "gguf/writer.hpp"
#include "measure/encode_tensor.hpp"
#include "quant/second_order.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

constexpr int64_t kPieceWeights = 1 << 18;  // 1 MiB of f32 a thread; rows are never cut

/// Rows [first, first + count) of one tensor, all of the same expert.
struct Piece {
  size_t tensor;
  int64_t first, count;
};

constexpr int64_t kSecondOrderRows = 16;  // of a piece whose codes wait for each other: much work a row

/// Pieces of some experts of a tensor.
std::vector<Piece> cut_pieces(const gguf::Tensor& source, size_t index, int64_t experts, int64_t first_expert,
                              bool second_order) {
  const int64_t step = second_order ? kSecondOrderRows : std::max<int64_t>(1, kPieceWeights / source.cols());
  std::vector<Piece> pieces;
  for (int64_t expert = first_expert; expert < first_expert + experts; ++expert)
    for (int64_t row = 0; row < source.shape[1]; row += step)
      pieces.push_back({index, expert * source.shape[1] + row, std::min(step, source.shape[1] - row)});
  return pieces;
}

/// Encodes rows of one tensor into the blocks of another format.
class RowEncoder {
 public:
  RowEncoder(const gguf::Tensor& source, const Format& to, const Importance* importance, Effort effort,
             const std::filesystem::path& model)
      : source_(source), from_(*find_format(source.format)), to_(to),
        importance_(importance ? importance->find(source.name) : nullptr), effort_(effort), model_(model) {}

  /// Rows of one expert; `blocks` is resized to fit. `curvature` is the expert's or nullptr.
  void encode(int64_t first, int64_t count, const Curvature* curvature, std::vector<float>& weights,
              std::vector<std::byte>& blocks) const {
    weights.resize(static_cast<size_t>(count * source_.cols()));
    blocks.resize(static_cast<size_t>(count * to_.row_bytes(source_.cols())));
    for (int64_t r = 0; r < count; ++r)
      from_.decode(source_.row(first + r).data(), std::span{weights}.subspan(static_cast<size_t>(r * source_.cols()),
                                                                             static_cast<size_t>(source_.cols())));
    check_finite(weights, first);
    encode_rows(to_, {weights.data(), count, source_.cols()}, columns_of(importance_, source_, first), curvature,
                effort_, blocks);
  }

 private:
  void check_finite(const std::vector<float>& weights, int64_t first) const {
    const auto bad = std::ranges::find_if_not(weights, [](float w) { return std::isfinite(w); });
    if (bad == weights.end()) return;
    const int64_t at = bad - weights.begin();
    throw Error{str("tensor '", source_.name, "' holds ", *bad, " at row ", first + at / source_.cols(), ", column ",
                    at % source_.cols()),
                model_.string(), "the source is damaged or was converted wrongly; convert it again"};
  }

  const gguf::Tensor& source_;
  const Format& from_;
  const Format& to_;
  const TensorImportance* importance_;
  Effort effort_;
  const std::filesystem::path& model_;
};

/// Curvatures for encoders that take them: at Effort::max, where there are moments.
class CurvaturesOf {
 public:
  CurvaturesOf(const SecondMoments* moments, Effort effort) {
    if (moments && effort == Effort::max) curvatures_.emplace(*moments), moments_ = moments;
  }
  bool may_have(const gguf::Tensor& source, const Format& to) const {
    return moments_ && moments_->find(source.name) && has_second_order(to);
  }
  std::shared_ptr<const Curvature> find(const gguf::Tensor& source, const Format& to, int64_t expert) {
    return may_have(source, to) ? curvatures_->find(source, expert) : nullptr;
  }

 private:
  const SecondMoments* moments_ = nullptr;
  std::optional<Curvatures> curvatures_;
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
  gguf::Writer writer{output_layout(model, importance, recipe, out), existing};
  int64_t total = 0;
  for (const gguf::Tensor& tensor : model.tensors()) total += static_cast<int64_t>(tensor.data.size());
  Progress progress{"writing", total, Progress::Unit::bytes};
  CurvaturesOf curvatures{moments, recipe.effort};

  for (size_t i = 0; i < recipe.tensors.size(); ++i) {
    const gguf::Tensor& source = *model.find_tensor(recipe.tensors[i].name);
    if (source.format == recipe.tensors[i].format) {
      copy_tensor(source, i, writer, progress);
    } else {
      const Format& to = *find_format(recipe.tensors[i].format);
      const RowEncoder encoder{source, to, importance, recipe.effort, model.path()};
      const auto write = [&](const std::vector<Piece>& pieces, const Curvature* curvature) {
        parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t p) {
          check_interrupt();
          thread_local std::vector<float> weights;
          thread_local std::vector<std::byte> blocks;
          const Piece& piece = pieces[static_cast<size_t>(p)];
          encoder.encode(piece.first, piece.count, curvature, weights, blocks);
          writer.write(i, piece.first * to.row_bytes(source.cols()), blocks);
          progress.advance(piece.count * source.row_bytes(), std::string(source.name));
        });
      };
      if (!curvatures.may_have(source, to)) write(cut_pieces(source, i, source.experts(), 0, false), nullptr);
      else
        for (int64_t expert = 0; expert < source.experts(); ++expert) {
          const auto curvature = curvatures.find(source, to, expert);
          write(cut_pieces(source, i, 1, expert, curvature != nullptr), curvature.get());
        }
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
  CurvaturesOf curvatures{moments, recipe.effort};
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
      const auto curvature = curvatures.find(source, *find_format(wanted.format), row / source.shape[1]);
      encoder.encode(row, 1, curvature.get(), weights, blocks);
      if (!std::ranges::equal(std::span<const std::byte>{blocks}, got->row(row)))
        refuse(str("row ", row, " of '", wanted.name, "' differs"));
    }
  }
}

}  // namespace snug
