#include "fold/pairs.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// What differs between architectures.
struct Wiring {
  std::string_view architecture;
  std::string_view ffn_norm = "ffn_norm";  // before the feed-forward network
  bool linear_up = true;                   // its product is linear in up: neither clamped nor with anything added
  bool plain_values = true;                // no norm stands between values and the output matrix
};

constexpr std::string_view kBehindAttention = "post_attention_norm";

constexpr Wiring kWirings[] = {
    {"llama"},    {"mistral3"}, {"qwen2"},     {"qwen3"},  {"qwen2moe"},
    {"qwen3moe"}, {"gemma2"},   {"gemma3"},    {"phi3"},   {.architecture = "gemma4", .plain_values = false},
    {"qwen2vl"}, {"qwen3vl"}, {"qwen3vlmoe"},
    {"deepseek2"}, {"glm4moe", kBehindAttention}, {"qwen3next", kBehindAttention}, {"qwen35", kBehindAttention},
    {"qwen35moe", kBehindAttention}, {.architecture = "gpt-oss", .ffn_norm = kBehindAttention, .linear_up = false},
};

const Wiring& wiring_of(const ModelSource& model, const ModelShape& shape) {
  const auto found = std::ranges::find(kWirings, shape.architecture, &Wiring::architecture);
  if (found != std::end(kWirings)) return *found;
  std::string known;
  for (const Wiring& wiring : kWirings) known += str(known.empty() ? "" : ", ", wiring.architecture);
  throw Error{str("it is not known which tensors of the architecture '", printable(shape.architecture),
                  "' read the same channels; it is of ", known),
              model.path().string(), "do without folds"};
}

bool is_float(const Tensor& tensor) {
  return tensor.format == FormatId::f32 || tensor.format == FormatId::f16 || tensor.format == FormatId::bf16;
}

class PairFinder {
 public:
  explicit PairFinder(const ModelSource& model)
      : model_(model), shape_(shape_of(model)), wiring_(wiring_of(model, shape_)) {}

  std::vector<FoldPair> all() {
    for (layer_ = 0; layer_ < shape_.layers; ++layer_)
      if (!shape_.drafts(static_cast<int>(layer_))) add_layer();
    return std::move(pairs_);
  }

 private:
  void add_layer() {
    add_norm("attn_norm", {"attn_q", "attn_k", "attn_v", "attn_qkv", "attn_q_a", "attn_kv_a_mqa", "attn_gate", "ssm_in",
                           "ssm_ba", "ssm_beta", "ssm_alpha"});
    add_norm("attn_q_a_norm", {"attn_q_b"});
    add_norm("attn_kv_a_norm", {"attn_kv_b", "attn_v_b"}, find("attn_k_b"));
    add_values();
    add_feed_forward_norms();
    if (wiring_.linear_up)
      for (const std::string_view kind : {"", "_exps", "_shexp"}) add_up(kind);
  }

  void add_feed_forward_norms() {
    if (wiring_.architecture == "gemma4") {
      add_norm(wiring_.ffn_norm, {"ffn_gate", "ffn_up"});
      add_norm("pre_ffw_norm_2", {"ffn_gate_exps", "ffn_up_exps", "ffn_gate_up_exps"});
      add_norm("ffn_gate_inp.scale", {"ffn_gate_inp"});
      return;
    }
    add_norm(wiring_.ffn_norm, {"ffn_gate", "ffn_up", "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_gate_up_exps",
                                "ffn_gate_shexp", "ffn_up_shexp", "ffn_gate_inp_shexp"});
  }

  void add_norm(std::string_view norm, std::initializer_list<std::string_view> readers, const Tensor* by_rows = nullptr) {
    FoldPair pair = pair_of(norm.ends_with(".scale") ? find(norm, "") : find(norm), norm);
    if (!pair.writer) return;
    pair.channels = pair.writer->weights();
    pair.row_reader = by_rows;
    for (const std::string_view reader : readers) add_reader(find(reader), pair);
    add(std::move(pair));
  }

  /// Values to the output matrix: all query heads that read a head of values share its factors.
  void add_values() {
    const Tensor *output = find("attn_output"), *latent = find("attn_v_b");
    if (!output || !wiring_.plain_values) return;
    if (latent) return add_matrix(latent, "attn_v_b", latent->rows(), output);
    const auto own = model_.metadata().integer(str(shape_.architecture, ".attention.value_length"));
    const int64_t head = own ? *own : shape_.heads > 0 ? shape_.embedding / shape_.heads : 0;
    const bool is_fused = !find("attn_v");
    const Tensor* values = find(is_fused ? "attn_qkv" : "attn_v");
    if (!values || head <= 0 || output->cols() % head != 0) return;
    const int64_t channels = is_fused ? shape_.heads_kv * head : values->rows();
    if (channels <= 0 || channels % head != 0 || output->cols() % channels != 0) return;
    add_matrix(values, is_fused ? "attn_qkv" : "attn_v", channels, output, head);
  }

  void add_up(std::string_view kind) {
    const Tensor *gate = find(str("ffn_gate", kind)), *up = find(str("ffn_up", kind));
    const Tensor *both = find(str("ffn_gate_up", kind)), *down = find(str("ffn_down", kind));
    const bool is_fused = both || !gate;
    const std::string name = str(both ? "ffn_gate_up" : "ffn_up", kind);
    if (const Tensor* writer = both ? both : up; writer && down)
      if (writer->shape[1] == (is_fused ? 2 : 1) * down->cols()) add_matrix(writer, name, down->cols(), down);
  }

  /// The last `channels` rows of each matrix of the writer.
  void add_matrix(const Tensor* writer, std::string_view base, int64_t channels, const Tensor* reader, int64_t head = 0) {
    FoldPair pair = pair_of(writer, base);
    pair.bias = find(base, ".bias");
    pair.channels = channels;
    if (head > 0 || reader->experts() == 1) {  // of one matrix, whatever the writer's shape
      pair.first_row = writer->rows() - channels;
      pair.head = head;
      pair.heads_sharing = reader->cols() / channels;
    } else {
      pair.matrices = writer->experts();
      pair.first_row = writer->shape[1] - channels;
    }
    add_reader(reader, pair);
    add(std::move(pair));
  }

  FoldPair pair_of(const Tensor* writer, std::string_view base) const {
    FoldPair pair;
    pair.name = str("blk.", layer_, ".", base);
    pair.writer = writer;
    return pair;
  }

  static void add_reader(const Tensor* reader, FoldPair& pair) {
    if (reader) pair.readers.push_back(reader);
  }

  /// Unless a tensor of it is quantized already: those cannot be scaled.
  void add(FoldPair pair) {
    const auto is_scalable = [](const Tensor* tensor) { return !tensor || is_float(*tensor); };
    if (pair.readers.empty() || pair.first_row < 0 || !std::ranges::all_of(pair.readers, is_scalable)) return;
    if (!is_scalable(pair.writer) || !is_scalable(pair.row_reader) || !is_scalable(pair.bias)) return;
    pairs_.push_back(std::move(pair));
  }

  const Tensor* find(std::string_view base, std::string_view kind = ".weight") const {
    return model_.find(str("blk.", layer_, ".", base, kind));
  }

  const ModelSource& model_;
  const ModelShape shape_;
  const Wiring& wiring_;
  int64_t layer_ = 0;
  std::vector<FoldPair> pairs_;
};

}  // namespace

std::vector<float> FoldPair::of_columns(std::span<const float> factors) const {
  if (heads_sharing == 1) return {factors.begin(), factors.end()};
  std::vector<float> columns;
  for (int64_t first = 0; first < channels; first += head)
    for (int64_t k = 0; k < heads_sharing; ++k) {
      const auto one = factors.subspan(static_cast<size_t>(first), static_cast<size_t>(head));
      columns.insert(columns.end(), one.begin(), one.end());
    }
  return columns;
}

std::vector<FoldPair> fold_pairs(const ModelSource& model) {
  return PairFinder{model}.all();
}

}  // namespace snug
