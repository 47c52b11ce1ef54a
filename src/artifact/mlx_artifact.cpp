#include "artifact/mlx_artifact.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "artifact/recipe_file.hpp"
#include "base/covered.hpp"
#include "base/events.hpp"
#include "base/files/atomic_folder.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "mlx/config.hpp"
#include "mlx/folder_files.hpp"
#include "mlx/from_gguf/config.hpp"
#include "mlx/from_gguf/tokenizer.hpp"
#include "mlx/shortcomings.hpp"
#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShardBytes = int64_t{5} << 30;  // mlx_lm's own limit
const safetensors::TextMetadata kMetadata{{"format", "mlx"}};

safetensors::FolderPlan with_shards_of(const mlx::StoredModel& stored, int64_t data_bytes) {
  return {stored.tensors(), kMetadata, static_cast<uint64_t>(data_bytes), safetensors::FolderPlan::Index::always};
}

/// Files of at most the size asked for: what the header of a single one would take is kept free in each.
safetensors::FolderPlan planned_folder(const mlx::StoredModel& stored, int64_t split_bytes) {
  if (split_bytes <= 0) return with_shards_of(stored, kShardBytes);
  const int64_t header = with_shards_of(stored, INT64_MAX).bytes() - stored.bytes();
  return with_shards_of(stored, std::max<int64_t>(1, split_bytes - header));
}

int64_t row_bytes_of(const Tensor& tensor, FormatId format) {
  const BlockShape shape = block_shape(format);
  return tensor.cols() / shape.block_weights * shape.block_bytes;
}

class MlxWriter final : public ArtifactWriter {
 public:
  MlxWriter(const ModelSource& model, const Recipe& recipe, mlx::StoredModel stored, std::string config,
            std::vector<mlx::TextFile> companions, const fs::path& out, Existing existing)
      : model_(model),
        stored_(std::move(stored)),
        plan_(planned_folder(stored_, recipe.split_bytes)),
        folder_(out, existing, mlx::is_model_folder),
        weights_(folder_.part(), plan_, Existing::refuse),
        config_(std::move(config)),
        companions_(std::move(companions)),
        written_(recipe.tensors.size()) {
    for (const RecipeTensor& tensor : recipe.tensors) formats_.push_back({model.find(tensor.name), tensor.format});
  }

  void write_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) override {
    take(tensor, first_row, blocks.size());
    stored_.place_rows(tensor, first_row, blocks, [&](size_t planned, uint64_t offset, std::span<const std::byte> bytes) {
      weights_.write(planned, offset, bytes);
    });
  }

  WrittenModel commit() override {
    for (size_t i = 0; i < written_.size(); ++i)
      if (!written_[i].is_whole(formats_[i].tensor->rows()))
        throw Error{str("rows of '", formats_[i].tensor->name, "' are missing"), folder_.path().string()};
    weights_.commit();
    write_file(folder_.part() / "config.json", config_, Existing::refuse);
    for (const mlx::TextFile& file : companions_) write_file(folder_.part() / file.name, file.text, Existing::refuse);
    WrittenModel written{plan_.bytes(), {}, {}};
    for (const auto& entry : fs::directory_iterator{folder_.part()}) add_to(written, entry.path().filename());
    folder_.commit();
    std::ranges::sort(written.files);
    std::ranges::sort(written.companions);
    return written;
  }

 private:
  struct Source {
    const Tensor* tensor;
    FormatId format;
  };

  void add_to(WrittenModel& written, const fs::path& name) const {
    (name.extension() == ".safetensors" ? written.files : written.companions).push_back(folder_.path() / name);
  }

  /// Every row of the tensor, once.
  void take(size_t tensor, int64_t first_row, size_t bytes) {
    const auto& [source, format] = formats_.at(tensor);
    const int64_t row_bytes = row_bytes_of(*source, format), rows = static_cast<int64_t>(bytes) / row_bytes;
    const std::scoped_lock lock{taking_};
    if (rows * row_bytes != static_cast<int64_t>(bytes) || first_row < 0 || first_row + rows > source->rows() ||
        !written_[tensor].add(first_row, first_row + rows))
      throw Error{str("rows from ", first_row, " on of '", source->name, "' were written already, or are none of it"),
                  folder_.path().string()};
  }

  const ModelSource model_;
  const mlx::StoredModel stored_;
  const safetensors::FolderPlan plan_;
  AtomicFolder folder_;
  safetensors::FolderWriter weights_;
  const std::string config_;
  const std::vector<mlx::TextFile> companions_;
  std::vector<Source> formats_;
  std::mutex taking_;
  std::vector<Covered> written_;
};

class MlxReader final : public ArtifactReader {
 public:
  MlxReader(mlx::StoredModel stored, safetensors::Checkpoint file) : stored_(std::move(stored)), file_(std::move(file)) {
    for (const safetensors::Planned& planned : stored_.tensors()) tensors_.push_back(file_.find(planned.name));
  }

  bool holds_rows(size_t tensor, int64_t first_row, std::span<const std::byte> blocks) const override {
    bool same = true;
    stored_.place_rows(tensor, first_row, blocks, [&](size_t planned, uint64_t offset, std::span<const std::byte> bytes) {
      same = same && std::ranges::equal(tensors_.at(planned)->bytes.subspan(offset, bytes.size()), bytes);
    });
    return same;
  }

 private:
  const mlx::StoredModel stored_;
  const safetensors::Checkpoint file_;
  std::vector<const safetensors::Tensor*> tensors_;
};

/// Tokenizer and the like: the folder's own, but for an older recipe, or made of the keys of a GGUF file.
std::vector<mlx::TextFile> companions_of(const ModelSource& model) {
  if (!fs::is_directory(model.path())) return mlx::companions_of_keys(model);
  std::vector<mlx::TextFile> files;
  for (const fs::path& file : mlx::companion_files(model.path()))
    if (file.filename() != kRecipeInFolder) files.push_back({file.filename().string(), read_file(file)});
  return files;
}

/// At once, not only when all else has been worked out.
ModelSource with_known_keys(ModelSource model) {
  if (fs::is_directory(model.path())) return model;
  mlx::config_of_keys(model);
  mlx::check_tokenizer(model);
  return model;
}

bool has_head(const std::vector<mlx::Module>& modules) {
  return std::ranges::any_of(modules, [](const auto& module) { return module.path.ends_with("lm_head"); });
}

}  // namespace

MlxArtifact::MlxArtifact(ModelSource model)
    : model_(with_known_keys(std::move(model))),
      modules_(std::make_shared<const std::vector<mlx::Module>>(mlx::modules_of(model_))),
      limits_(*modules_) {}

mlx::StoredModel MlxArtifact::stored(const Recipe& recipe) const {
  std::vector<mlx::StoredModel::Choice> choices;
  for (const RecipeTensor& tensor : recipe.tensors) choices.push_back({tensor.name, tensor.format});
  return {model_, modules_, choices};
}

/// Blocks that MLX has no format for cannot stay: as if their tensors were unquantized.
Recipe MlxArtifact::storable(Recipe recipe) const {
  for (RecipeTensor& tensor : recipe.tensors)
    if (!limits_.allow(tensor.name, tensor.format)) {
      tensor.format = FormatId::bf16;
      tensor.bytes = model_.find(tensor.name)->weights() * 2;
    }
  return recipe;
}

/// Headers, less what is counted for tensors that MLX has no place for.
int64_t MlxArtifact::fixed_bytes(const Recipe& given) const {
  const Recipe recipe = storable(given);
  int64_t bytes = layout(recipe).bytes;
  for (const RecipeTensor& tensor : recipe.tensors) bytes -= stored_bytes(tensor.format, tensor.bytes);
  return bytes;
}

int64_t MlxArtifact::stored_bytes(FormatId format, int64_t data_bytes) const {
  return mlx::stored_bytes(format, data_bytes);
}

FileLayout MlxArtifact::layout(const Recipe& recipe) const {
  const safetensors::FolderPlan plan = planned_folder(stored(recipe), recipe.split_bytes);
  return {plan.bytes(), {plan.file_bytes().begin(), plan.file_bytes().end()}};
}

std::vector<OutputFile> MlxArtifact::files(const Recipe& recipe, const fs::path& out) const {
  const safetensors::FolderPlan plan = planned_folder(stored(recipe), recipe.split_bytes);
  std::vector<OutputFile> files;
  for (size_t i = 0; i < plan.names().size(); ++i) files.push_back({out / plan.names()[i], plan.file_bytes()[i]});
  return files;
}

std::unique_ptr<ArtifactWriter> MlxArtifact::open(const Recipe& recipe, const fs::path& out, Existing existing) const {
  std::error_code missing;
  if (fs::equivalent(out, model_.path(), missing))
    throw Error{"the output is the model itself, which would be lost", out.string(), "name another folder", Fault::usage};
  for (const std::string& shortcoming : mlx::shortcomings(model_)) log_line(shortcoming);
  mlx::StoredModel planned = stored(recipe);
  std::string config = mlx::config_text(model_, planned.quantized(), planned.floats(), !has_head(*modules_));
  std::vector<mlx::TextFile> companions = companions_of(model_);
  if (recipe.notes) companions.push_back({std::string{kRecipeInFolder}, to_json(recipe)});
  return std::make_unique<MlxWriter>(model_, recipe, std::move(planned), std::move(config), std::move(companions), out, existing);
}

std::unique_ptr<ArtifactReader> MlxArtifact::read_back(const Recipe& recipe, const WrittenModel& written) const {
  const fs::path folder = written.files.at(0).parent_path();
  const auto refuse = [&](const std::string& what) {
    throw Error{what, folder.string(), "the disk or memory may be faulty; write it again", Fault::io};
  };
  mlx::StoredModel planned = stored(recipe);
  safetensors::Checkpoint file{folder};
  if (file.bytes() != written.bytes) refuse(str("the files have ", file.bytes(), " bytes, planned were ", written.bytes));
  if (file.tensors().size() != planned.tensors().size()) refuse("a tensor is missing");
  for (const safetensors::Planned& wanted : planned.tensors()) {
    const safetensors::Tensor* got = file.find(wanted.name);
    if (!got || got->dtype != wanted.dtype || got->shape != wanted.shape)
      refuse(str("tensor '", wanted.name, "' is not what was planned"));
  }
  return std::make_unique<MlxReader>(std::move(planned), std::move(file));
}

}  // namespace snug
