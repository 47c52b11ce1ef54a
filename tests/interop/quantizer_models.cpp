#include "interop/quantizer_models.hpp"

#include <deque>
#include <utility>
#include <vector>

#include "base/half.hpp"
#include "base/str.hpp"
#include "gguf/writer.hpp"

namespace snug::test {
namespace {

/// Not "clip": its quantizer reads no keys of that, and some presets end in an assertion.
constexpr std::string_view kArchitectures[] = {
    "afmoe", "apertus", "arcee", "arctic", "arwkv7", "baichuan", "bailingmoe", "bailingmoe2",
    "bailingmoe3", "bert", "bitnet", "bloom", "chameleon", "chatglm", "codeshell", "cogvlm",
    "cohere2", "cohere2moe", "command-r", "dbrx", "deci", "deepseek", "deepseek2", "deepseek2-ocr",
    "deepseek32", "deepseek4", "dflash", "dots1", "dots3note", "dream", "eagle3", "ernie4_5",
    "ernie4_5-moe", "eurobert", "exaone", "exaone-moe", "exaone4", "falcon", "falcon-h1", "gemma",
    "gemma-embedding", "gemma2", "gemma3", "gemma3n", "gemma4", "gemma4-assistant", "glm-dsa", "glm4",
    "glm4moe", "gpt-oss", "gpt2", "gptneox", "granite", "granite_swa", "granitehybrid", "granitemoe",
    "graniteswitch", "grok", "grovemoe", "hrm_text", "hunyuan-dense", "hunyuan-moe", "hunyuan_vl", "hy_v3",
    "hy_v4", "internlm2", "jais", "jais2", "jamba", "jina-bert-v2", "jina-bert-v3", "kimi-k3",
    "kimi-linear", "laguna", "lfm2", "lfm2moe", "llada", "llada-moe", "llama", "llama-embed", "llama4",
    "maincoder", "mamba", "mamba2", "maple", "mellum", "mimo2", "minicpm", "minicpm3", "minimax-01",
    "minimax-m2", "minimax-m3", "mistral3", "mistral4", "modern-bert", "mpt", "muse-glimmer", "nanbeige",
    "nemotron", "nemotron_h", "nemotron_h_moe", "neo-bert", "nomic-bert", "nomic-bert-moe", "olmo",
    "olmo2", "olmoe", "openelm", "orion", "paddleocr", "pangu-embedded", "phi2", "phi3", "phimoe", "plamo",
    "plamo2", "plamo3", "plm", "pockettts", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen35",
    "qwen35moe", "qwen3moe", "qwen3next", "qwen3tts", "qwen3vl", "qwen3vlmoe", "qwen4exp", "refact",
    "rnd1", "rwkv6", "rwkv6qwen2", "rwkv7", "seed_oss", "smallthinker", "smollm3", "spark2_5", "stablelm",
    "starcoder", "starcoder2", "step35", "t5", "t5encoder", "talkie", "wavtokenizer-dec", "xverse",
};

constexpr uint32_t kWidth = 256, kHead = 64;

/// Numbers that some architecture cannot do without: nearly all mean nothing to the quantizer.
constexpr std::pair<std::string_view, uint32_t> kCounts[] = {
    {"adapters.count", 1}, {"adapters.lora_rank", 4}, {"attention.decay_lora_rank", kHead},
    {"attention.gate_lora_rank", kHead}, {"attention.group_norm_groups", 4},
    {"attention.iclr_lora_rank", kHead}, {"attention.indexer.block_size", 4},
    {"attention.indexer.head_count", 4}, {"attention.indexer.key_length", 128},
    {"attention.indexer.local_blocks", 1}, {"attention.indexer.top_k", 4}, {"attention.key_length", kHead},
    {"attention.key_length_mla", kHead}, {"attention.key_length_mla_swa", kHead},
    {"attention.key_length_swa", kHead}, {"attention.kv_lora_rank", kHead},
    {"attention.kv_lora_rank_swa", kHead}, {"attention.output_group_count", 4},
    {"attention.output_lora_rank", kHead}, {"attention.q_lora_rank", kHead},
    {"attention.relative_buckets_count", 32}, {"attention.shared_kv_layers", 0},
    {"attention.sliding_window", 128}, {"attention.value_length", kHead},
    {"attention.value_length_mla", kHead}, {"attention.value_length_mla_swa", kHead},
    {"attention.value_length_swa", kHead}, {"attention.value_residual_mix_lora_rank", kHead},
    {"attn_res.block_size", 4}, {"context_length", 4096}, {"convnext.block_count", 1},
    {"convnext.embedding_length", kWidth}, {"embedding_length", kWidth},
    {"embedding_length_per_layer_input", kWidth}, {"expert_chunk_feed_forward_length", kWidth},
    {"expert_feed_forward_length", kWidth}, {"expert_gating_func", 4}, {"expert_shared_count", 1},
    {"expert_shared_feed_forward_length", kWidth}, {"experts_per_group", 1}, {"features_length", kWidth},
    {"feed_forward_length", kWidth}, {"hash_layer_count", 1}, {"hrm.h_cycles", 1}, {"hrm.l_cycles", 1},
    {"hyper_connection.count", 4}, {"hyper_connection.low_rank", 4},
    {"hyper_connection.sinkhorn_iterations", 2}, {"interleave_moe_layer_step", 1}, {"kda.head_dim", kHead},
    {"leading_dense_block_count", 1}, {"moe_every_n_layers", 2}, {"moe_latent_size", kHead},
    {"n_deepstack_layers", 0}, {"pooling_type", 0}, {"posnet.block_count", 1},
    {"posnet.embedding_length", kWidth}, {"rescale_every_n_layers", 6}, {"rope.dimension_count", kHead},
    {"shortconv.l_cache", 3}, {"ssm.conv_kernel", 4}, {"ssm.group_count", 1}, {"ssm.inner_size", kWidth},
    {"ssm.state_size", 16}, {"ssm.time_step_rank", 16}, {"target_hidden_size", kWidth},
    {"time_decay_extra_dim", kHead}, {"time_mix_extra_dim", 32}, {"token_shift_count", 2},
    {"vocab_size", kHead}, {"wkv.head_size", kHead},
};

constexpr std::pair<std::string_view, float> kReals[] = {
    {"activation.situ_beta", 1.0f}, {"activation.situ_linear_beta", 1.0f}, {"attention.clamp_kqv", 8.0f},
    {"attention.compress_rope_freq_base", 10000.0f}, {"attention.group_norm_epsilon", 1e-05f},
    {"attention.layer_norm_epsilon", 1e-05f}, {"attention.layer_norm_rms_epsilon", 1e-05f},
    {"attention.max_alibi_bias", 8.0f}, {"attention.scale", 1.0f}, {"attn_logit_softcapping", 30.0f},
    {"embedding_scale", 1.0f}, {"expert_group_scale", 1.0f}, {"expert_weights_scale", 1.0f},
    {"final_logit_softcapping", 30.0f}, {"hyper_connection.epsilon", 1e-05f},
    {"hyper_connection.magnitude", 1.0f}, {"kda.gate_lower_bound", -1.0f}, {"logit_scale", 1.0f},
    {"residual_scale", 1.0f}, {"rope.freq_base_swa", 10000.0f}, {"router_logit_softcapping", 30.0f},
    {"swiglu_clamp_exp", 1.0f},
};

constexpr std::pair<std::string_view, bool> kFlags[] = {
    {"attention.causal", true}, {"expert_weights_norm", true}, {"hrm.prefix_lm", false},
    {"ssm.dt_b_c_rms", false}, {"use_parallel_residual", true},
};

/// The keys in the making; what arrays point into lives as long.
struct Keys {
  std::string arch;
  std::vector<OutputKey> list;
  std::deque<std::vector<int32_t>> integers;
  std::deque<std::vector<float>> reals;
  std::deque<std::vector<uint8_t>> flags;

  void add(std::string_view name, MetadataValue value) { list.push_back({str(arch, ".", name), value}); }
  void add(std::string_view name, std::vector<int32_t> values) {
    const auto& kept = integers.emplace_back(std::move(values));
    add(name, MetadataArray{MetadataType::i32, kept.size(), std::as_bytes(std::span{kept})});
  }
  void add(std::string_view name, std::vector<uint8_t> values) {
    const auto& kept = flags.emplace_back(std::move(values));
    add(name, MetadataArray{MetadataType::boolean, kept.size(), std::as_bytes(std::span{kept})});
  }
  /// Apertus has these without its name in front.
  void add_bare(std::string name, std::vector<float> values) {
    const auto& kept = reals.emplace_back(std::move(values));
    list.push_back({std::move(name), MetadataValue{MetadataArray{MetadataType::f32, kept.size(),
                                                             std::as_bytes(std::span{kept})}}});
  }
};

void add_arrays(Keys& keys, uint32_t layers) {
  std::vector<uint8_t> pattern;
  for (uint32_t layer = 0; layer < layers; ++layer) pattern.push_back(layer % 2);
  keys.add("attention.sliding_window_pattern", pattern);
  keys.add("rope.dimension_sections", std::vector<int32_t>{8, 8, 8, 8});
  keys.add("target_layers", std::vector<int32_t>{1, 2, 3});
  keys.add("extract_layers", std::vector<int32_t>{1, 2, 3});
  keys.add("adapters.token_ids_activate", std::vector<int32_t>{1});
  keys.add("adapters.token_ids_substitute", std::vector<int32_t>{2});
  keys.add("attention.compress_ratios", std::vector<int32_t>(layers, 0));
  keys.add("attention.indexer.types", std::vector<int32_t>(layers, 1));
  for (const char* name : {"xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps"})
    keys.add_bare(name, std::vector<float>(layers, 1));
}

void fill(Keys& keys, const QuantizerModel& model) {
  keys.arch = model.architecture;
  keys.list.push_back({"general.architecture", keys.arch});
  keys.add("block_count", MetadataValue{model.layers});
  keys.add("decoder_block_count", MetadataValue{model.layers});
  keys.add("hrm.layers_per_stack", MetadataValue{model.layers / 2});
  keys.add("attention.head_count", MetadataValue{model.heads});
  keys.add("attention.head_count_kv", MetadataValue{model.kv_heads});
  if (model.experts) {
    keys.add("expert_count", MetadataValue{model.experts});
    keys.add("expert_used_count", MetadataValue{uint32_t{2}});
  }
  if (model.drafts) keys.add("nextn_predict_layers", MetadataValue{model.drafts});
  for (const auto& [name, value] : kCounts) keys.add(name, MetadataValue{value});
  for (const auto& [name, value] : kReals) keys.add(name, MetadataValue{value});
  for (const auto& [name, value] : kFlags) keys.add(name, MetadataValue{value});
  add_arrays(keys, model.layers);
}

struct Tensors {
  std::vector<gguf::OutputTensor> list;
  void add(std::string name, int64_t cols, int64_t rows, int64_t matrices = 1) {
    list.push_back({std::move(name), FormatId::f16, matrices > 1 ? 3 : rows > 1 ? 2 : 1, {cols, rows, matrices, 1}});
  }
};

void add_attention(Tensors& tensors, const QuantizerModel& model, const std::string& block) {
  switch (model.attention) {
    case QuantizerModel::Attention::split:
      for (const char* part : {"attn_q", "attn_k", "attn_v"}) tensors.add(str(block, part, ".weight"), model.cols, 2);
      break;
    case QuantizerModel::Attention::fused:
      tensors.add(block + "attn_qkv.weight", model.cols, 2);
      break;
    case QuantizerModel::Attention::latent:
      for (const char* part : {"attn_q_a", "attn_q_b", "attn_kv_a_mqa", "attn_kv_b"})
        tensors.add(str(block, part, ".weight"), model.cols, 2);
      tensors.add(block + "attn_k_b.weight", model.cols, 2, 2);
      tensors.add(block + "attn_v_b.weight", model.cols, 2, 2);
      break;
  }
  tensors.add(block + "attn_output.weight", model.cols, 2);
}

/// Where there are experts the first layer has none, as in most of these models.
void add_ffn(Tensors& tensors, const QuantizerModel& model, const std::string& block, uint32_t layer) {
  if (model.experts == 0 || layer == 0) {
    for (const char* part : {"ffn_gate", "ffn_up", "ffn_down"}) tensors.add(str(block, part, ".weight"), model.cols, 2);
    return;
  }
  for (const char* part : {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"})
    tensors.add(str(block, part, ".weight"), model.cols, 1, model.experts);
  tensors.add(block + "ffn_down_shexp.weight", model.cols, 2);
  tensors.add(block + "ffn_gate_inp.weight", model.cols, 2);
}

Tensors tensors_of(const QuantizerModel& model) {
  Tensors tensors;
  tensors.add("token_embd.weight", model.cols, 2);
  if (!model.tied) tensors.add("output.weight", model.cols, 2);
  if (model.per_layer) tensors.add("per_layer_token_embd.weight", model.cols, 2);
  tensors.add("position_embd.weight", model.cols, 2);
  tensors.add("token_types.weight", model.cols, 2);
  tensors.add("output_norm.weight", model.cols, 1);
  for (uint32_t layer = 0; layer < model.layers; ++layer) {
    const std::string block = str("blk.", layer, ".");
    tensors.add(block + "attn_norm.weight", model.cols, 1);
    tensors.add(block + "ssm_conv1d.weight", model.cols, 2);
    tensors.add(block + "ssm_out.weight", model.cols, 2);
    add_attention(tensors, model, block);
    add_ffn(tensors, model, block, layer);
  }
  return tensors;
}

}  // namespace

std::span<const std::string_view> quantizer_architectures() {
  return kArchitectures;
}

void write_quantizer_model(const QuantizerModel& model, const std::filesystem::path& path) {
  Keys keys;
  fill(keys, model);
  const std::vector<gguf::OutputTensor> tensors = tensors_of(model).list;
  gguf::Writer writer{gguf::plan_layout(path, keys.list, tensors), Existing::replace};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& shape = tensors[i].shape;
    const std::vector<uint16_t> halves(static_cast<size_t>(shape[0] * shape[1] * shape[2]), 0x3000);  // 0.125
    writer.write(i, 0, std::as_bytes(std::span{halves}));
  }
  writer.commit();
}

std::string to_string(const QuantizerModel& m) {
  constexpr std::string_view kAttention[] = {"split", "fused", "latent"};
  return str(m.architecture, ", ", m.layers, " layers, heads ", m.heads, "/", m.kv_heads, ", ", m.experts, " experts, ",
             kAttention[static_cast<size_t>(m.attention)], m.tied ? ", tied" : "", m.per_layer ? ", per layer" : "",
             ", rows of ", m.cols);
}

}  // namespace snug::test
