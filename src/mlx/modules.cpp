#include "mlx/modules.hpp"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "base/str.hpp"
#include "hf/config.hpp"
#include "mlx/trees.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug::mlx {
namespace {

namespace fs = std::filesystem;

/// What the tree depends on besides the architecture.
struct Surroundings {
  ModelShape shape;
  HeadSizes sizes;
  bool wrapped = false;  // the text model is a part of a larger one
  bool tied = false;     // the head is the embedding
};

Surroundings surroundings_of(const ModelSource& model, const Tree& tree) {
  const ModelShape shape = shape_of(model);
  Surroundings around{shape, HeadSizes{model}, tree.wrapped, shape.tied_output};
  if (!fs::is_directory(model.path())) return around;
  const hf::Config config{model.path()};
  around.wrapped = around.wrapped || config.file().contains("text_config");
  around.tied = around.tied || config.flag({"tie_word_embeddings"}).value_or(false);
  return around;
}

/// A tensor's name taken apart: "blk.3.attn_q.weight" is layer 3, "attn_q", ".weight".
struct Name {
  int layer = -1;
  std::string_view stem, suffix;
};

Name parse(std::string_view name) {
  Name parts{layer_of(name), name, {}};
  if (parts.layer >= 0) parts.stem.remove_prefix(name.find('.', std::string_view{"blk."}.size()) + 1);
  for (const std::string_view suffix : {".weight", ".bias", ".scale"})
    if (parts.stem.ends_with(suffix)) {
      parts.suffix = suffix;
      parts.stem.remove_suffix(suffix.size());
    }
  return parts;
}

class Builder {
 public:
  Builder(const ModelSource& model, const Tree& tree)
      : model_(model), tree_(tree), around_(surroundings_of(model, tree)), wrapper_(around_.wrapped ? "language_model." : "") {}

  std::vector<Module> build() {
    if (tree_.own_head && around_.tied)
      throw Error{"mlx_lm's class of this architecture has a head of its own; this model's is its embedding", model_.path().string(),
                  "quantize it for llama.cpp instead"};
    for (const Tensor& tensor : model_.tensors()) add(tensor);
    std::ranges::stable_sort(modules_, {}, [](const Placed& placed) { return std::pair{placed.layer, placed.rank}; });
    std::vector<Module> modules;
    for (Placed& placed : modules_) modules.push_back(std::move(placed.module));
    return modules;
  }

 private:
  struct Placed {
    int64_t layer, rank;  // where it stands among the others
    Module module;
  };

  void add(const Tensor& tensor) {
    const Name name = parse(tensor.name);
    if (around_.shape.drafts(name.layer)) return;  // it predicts further tokens, which mlx_lm does not
    bool found = false;
    int64_t rank = 0;
    for (const auto& rows : name.layer < 0 ? tree_.globals : tree_.rows)
      for (const Row& row : rows) {
        ++rank;
        if (row.from != name.stem || (!row.suffix.empty() && row.suffix != name.suffix)) continue;
        found = true;
        if (is_needed(row)) modules_.push_back({layer_rank(row, name), rank, module_of(row, name, tensor)});
      }
    if (!found)
      throw Error{str("tensor '", tensor.name, "' has no place in the model that mlx_lm builds for the architecture ",
                      tree_.architecture),
                  model_.path().string(), "quantize it for llama.cpp instead"};
  }

  bool is_needed(const Row& row) const { return row.kind != Kind::unused && (row.kind != Kind::head || !around_.tied); }

  /// Embeddings, layers, final norm, head.
  static int64_t layer_rank(const Row& row, const Name& name) {
    constexpr int64_t kBehind = int64_t{1} << 32;
    if (name.layer >= 0) return name.layer;
    return row.kind == Kind::head ? kBehind + 1 : row.kind == Kind::norm ? kBehind : -1;
  }

  Module module_of(const Row& row, const Name& name, const Tensor& tensor) const {
    const bool is_norm = tree_.norms_plus_one && row.kind == Kind::norm;
    Module module;
    module.path = path_of(row, name);
    module.name = has_own_name(row.kind) ? module.path : module.path + std::string{name.suffix};
    module.tensor = &tensor;
    module.shape = shape_of_module(row, name, tensor);
    module.quantizable = name.suffix == ".weight" && can_be_quantized(row.kind);
    module.order = order_of(row, tensor, module);
    if (row.reads_values) module.columns = value_columns(around_.sizes, tensor);
    module.transposed = row.order == Order::mla_keys;
    module.keeps_f32 = row.kind == Kind::exact || row.kind == Kind::decay;
    module.change = is_norm ? Change::less_one : row.kind == Kind::decay ? Change::log_of_negative : Change::none;
    return module;
  }

  static bool has_own_name(Kind kind) { return kind == Kind::parameter || kind == Kind::exact || kind == Kind::decay; }

  std::string path_of(const Row& row, const Name& name) const {
    if (row.kind == Kind::head) return wrapper_ + std::string{row.to};
    const std::string layer = name.layer < 0 ? "" : str("layers.", name.layer, ".");
    return str(wrapper_, "model.", layer, row.to);
  }

  static bool can_be_quantized(Kind kind) {
    return kind == Kind::linear || kind == Kind::experts || kind == Kind::embedding || kind == Kind::head;
  }

  std::vector<int64_t> shape_of_module(const Row& row, const Name& name, const Tensor& tensor) const {
    const bool is_matrix = name.suffix == ".weight" && (tensor.dims > 1 || can_be_quantized(row.kind));
    if (is_matrix && row.kind == Kind::experts) return {tensor.experts(), tensor.shape[1] / row.parts, tensor.cols()};
    if (row.kind == Kind::taps) return {tensor.rows(), tensor.cols(), 1};
    const int64_t rows = placed_rows(row.order, around_.sizes, tensor).module_rows / row.parts;
    if (row.order == Order::mla_keys) return {rows, tensor.shape[1]};
    if (is_matrix && (can_be_quantized(row.kind) || row.kind == Kind::plain)) return {rows, tensor.cols()};
    if (row.kind == Kind::experts) return {tensor.rows(), tensor.cols()};
    return {tensor.weights()};
  }

  RowOrder order_of(const Row& row, const Tensor& tensor, const Module& module) const {
    if (auto runs = placed_rows(row.order, around_.sizes, tensor).runs) return {.runs = std::move(runs)};
    const int64_t matrix = tensor.dims == 1 ? tensor.cols() : tensor.shape[1];
    const int64_t count = matrix / row.parts;
    const int64_t heads = row.order == Order::query_pairs ? around_.sizes.heads
                          : row.order == Order::key_pairs ? around_.sizes.kv_heads
                                                          : 0;
    if (heads > 0 && matrix % (2 * heads) != 0)
      throw Error{str("tensor '", tensor.name, "' has ", matrix, " rows, which do not make ", heads,
                      " heads of an even size"),
                  model_.path().string(), "the file is damaged; convert the model again"};
    if (module.shape.size() == 1 && heads == 0) return {tensor.weights(), 0, tensor.weights(), 0};
    return {matrix, row.part * count, count, heads > 0 ? matrix / heads : 0};
  }

  const ModelSource& model_;
  const Tree& tree_;
  const Surroundings around_;
  const std::string wrapper_;
  std::vector<Placed> modules_;
};

}  // namespace

int64_t Module::rows() const {
  return std::accumulate(shape.begin(), shape.end() - 1, int64_t{1}, std::multiplies{});
}

bool Module::takes(const Format& format) const {
  const bool whole = columns.length == 0 || columns.length % format.block_weights == 0;
  return quantizable && format.fits(cols()) && whole;
}

bool continues(std::span<const Module> modules, size_t i) { return i > 0 && modules[i].name == modules[i - 1].name; }

std::vector<Module> modules_of(const ModelSource& model) {
  return Builder{model, tree_of(model)}.build();
}

}  // namespace snug::mlx
