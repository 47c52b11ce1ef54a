// Writes a checkpoint folder of the shape of Gemma 4 26B-A4B with random weights, for runs of models larger than memory:
//   make_gemma4 --layers 8 -o gemma4-8        15 GB; 30 layers are the whole model's shape
//   make_gemma4 --layers 2 --vocab 16384 --experts 32 -o small
// The same options give the same bytes. Norms are ones, matrices keep the size of what goes through them. Its tokenizer
// is learnt from the text that comes with snug.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/files/atomic_file.hpp"
#include "base/half.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/built_in_text.hpp"
#include "safetensors/writer.hpp"
#include "snug/error.hpp"
#include "tools/random_bits.hpp"

namespace {

using namespace snug;
using nlohmann::ordered_json;
using safetensors::Planned;

struct Options {
  std::string out;
  int64_t layers = 8, hidden = 2816, ffn = 2112, expert_ffn = 704, experts = 128, used = 8, vocab = 262144;
  int64_t heads = 16, kv_heads = 8, full_kv_heads = 2, head = 256, full_head = 512;
  uint64_t seed = 1;
  bool force = false;

  /// Every sixth layer looks at all positions, and so does the last.
  bool is_full(int64_t layer) const { return layer % 6 == 5 || layer + 1 == layers; }
};

// --- tensors -----------------------------------------------------------------------------------------------------

Planned bf16(std::string name, std::vector<int64_t> shape) {
  return {std::move(name), safetensors::Dtype::bf16, std::move(shape)};
}

void add_attention(const Options& o, int64_t layer, const std::string& block, std::vector<Planned>& all) {
  const int64_t head = o.is_full(layer) ? o.full_head : o.head, kv = o.is_full(layer) ? o.full_kv_heads : o.kv_heads;
  all.push_back(bf16(block + "self_attn.q_proj.weight", {o.heads * head, o.hidden}));
  all.push_back(bf16(block + "self_attn.k_proj.weight", {kv * head, o.hidden}));
  if (!o.is_full(layer)) all.push_back(bf16(block + "self_attn.v_proj.weight", {kv * head, o.hidden}));
  all.push_back(bf16(block + "self_attn.o_proj.weight", {o.hidden, o.heads * head}));
  for (const char* norm : {"q_norm", "k_norm"}) all.push_back(bf16(str(block, "self_attn.", norm, ".weight"), {head}));
}

void add_layer(const Options& o, int64_t layer, std::vector<Planned>& all) {
  const std::string block = str("model.layers.", layer, ".");
  add_attention(o, layer, block, all);
  for (const char* part : {"gate", "up"}) all.push_back(bf16(str(block, "mlp.", part, "_proj.weight"), {o.ffn, o.hidden}));
  all.push_back(bf16(block + "mlp.down_proj.weight", {o.hidden, o.ffn}));
  all.push_back(bf16(block + "experts.gate_up_proj", {o.experts, 2 * o.expert_ffn, o.hidden}));
  all.push_back(bf16(block + "experts.down_proj", {o.experts, o.hidden, o.expert_ffn}));
  all.push_back(bf16(block + "router.proj.weight", {o.experts, o.hidden}));
  all.push_back(bf16(block + "router.scale", {o.hidden}));
  all.push_back(bf16(block + "router.per_expert_scale", {o.experts}));
  all.push_back(bf16(block + "layer_scalar", {1}));
  for (const char* norm : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm",
                           "post_feedforward_layernorm", "post_feedforward_layernorm_1", "pre_feedforward_layernorm_2",
                           "post_feedforward_layernorm_2"})
    all.push_back(bf16(str(block, norm, ".weight"), {o.hidden}));
}

std::vector<Planned> tensors_of(const Options& o) {
  std::vector<Planned> all{bf16("model.embed_tokens.weight", {o.vocab, o.hidden}), bf16("model.norm.weight", {o.hidden})};
  for (int64_t layer = 0; layer < o.layers; ++layer) add_layer(o, layer, all);
  return all;
}

/// Sums of four uniform numbers, close to normal, so many to a matrix's row that its products keep their size.
void fill_row(uint64_t seed, float scale, std::span<uint16_t> row) {
  for (uint16_t& value : row) {
    const uint64_t bits = tools::mix_bits(seed++);
    uint64_t sum = 0;
    for (int i = 0; i < 4; ++i) sum += (bits >> (16 * i)) & 0xffff;
    value = to_bf16((static_cast<float>(sum) / 65536.0f - 2.0f) * 1.7320508f * scale);
  }
}

void write_tensor(safetensors::FolderWriter& writer, size_t index, const Planned& tensor, uint64_t seed) {
  const int64_t cols = tensor.shape.back();
  int64_t rows = 1;
  for (size_t d = 0; d + 1 < tensor.shape.size(); ++d) rows *= tensor.shape[d];
  const bool is_vector = tensor.shape.size() == 1;
  const float scale = 1 / std::sqrt(static_cast<float>(cols));
  parallel_ranges(rows, std::max<int64_t>(1, (int64_t{1} << 20) / cols), [&](int64_t begin, int64_t end) {
    std::vector<uint16_t> values(static_cast<size_t>((end - begin) * cols), to_bf16(1.0f));
    for (int64_t r = begin; r < end && !is_vector; ++r)
      fill_row(tools::mix_bits(seed + (uint64_t{index} << 40)) + static_cast<uint64_t>(r * cols), scale,
               std::span{values}.subspan(static_cast<size_t>((r - begin) * cols), static_cast<size_t>(cols)));
    writer.write(index, static_cast<uint64_t>(begin * cols) * 2, std::as_bytes(std::span{values}));
  });
}

// --- what it says of itself --------------------------------------------------------------------------------------

ordered_json config_of(const Options& o) {
  ordered_json layer_types = ordered_json::array();
  for (int64_t l = 0; l < o.layers; ++l) layer_types.push_back(o.is_full(l) ? "full_attention" : "sliding_attention");
  return {{"architectures", {"Gemma4ForCausalLM"}},
          {"model_type", "gemma4_text"},
          {"dtype", "bfloat16"},
          {"vocab_size", o.vocab},
          {"hidden_size", o.hidden},
          {"num_hidden_layers", o.layers},
          {"intermediate_size", o.ffn},
          {"num_attention_heads", o.heads},
          {"num_key_value_heads", o.kv_heads},
          {"num_global_key_value_heads", o.full_kv_heads},
          {"head_dim", o.head},
          {"global_head_dim", o.full_head},
          {"attention_k_eq_v", true},
          {"sliding_window", 1024},
          {"rms_norm_eps", 1e-6},
          {"hidden_activation", "gelu_pytorch_tanh"},
          {"final_logit_softcapping", 30.0},
          {"tie_word_embeddings", true},
          {"enable_moe_block", true},
          {"num_experts", o.experts},
          {"top_k_experts", o.used},
          {"moe_intermediate_size", o.expert_ffn},
          {"hidden_size_per_layer_input", 0},
          {"num_kv_shared_layers", 0},
          {"max_position_embeddings", 262144},
          {"bos_token_id", 2},
          {"eos_token_id", 1},
          {"pad_token_id", 0},
          {"layer_types", layer_types},
          {"rope_parameters",
           {{"full_attention", {{"partial_rotary_factor", 0.25}, {"rope_theta", 1e6}, {"rope_type", "proportional"}}},
            {"sliding_attention", {{"rope_theta", 1e4}, {"rope_type", "default"}}}}}};
}

/// Byte pairs of the words of a text, the most frequent first.
class Merges {
 public:
  using Pair = std::pair<std::string, std::string>;

  explicit Merges(std::string_view text) {
    std::map<std::string, int64_t> words;
    std::string word;
    for (const char c : text) {
      const bool ends = c == ' ' || c == '\n';
      if (ends || static_cast<unsigned char>(c) >= 0x80) {
        if (!word.empty()) ++words[word];
        word = ends ? "\xE2\x96\x81" : "";
      } else {
        word += c;
      }
    }
    for (const auto& [each, count] : words) words_.push_back({letters_of(each), count});
  }

  std::vector<Pair> learn(size_t most) {
    std::vector<Pair> merges;
    while (merges.size() < most) {
      std::map<Pair, int64_t> counts;
      for (const auto& [letters, count] : words_)
        for (size_t i = 0; i + 1 < letters.size(); ++i) counts[{letters[i], letters[i + 1]}] += count;
      const auto best = std::ranges::max_element(counts, {}, [](const auto& entry) { return entry.second; });
      if (best == counts.end() || best->second < 2) break;
      merges.push_back(best->first);
      for (auto& [letters, count] : words_) join(letters, best->first);
    }
    return merges;
  }

 private:
  static std::vector<std::string> letters_of(const std::string& word) {
    std::vector<std::string> letters;
    const size_t mark = word.starts_with("\xE2\x96\x81") ? 3 : 0;
    if (mark) letters.push_back(word.substr(0, mark));
    for (size_t i = mark; i < word.size(); ++i) letters.emplace_back(1, word[i]);
    return letters;
  }
  static void join(std::vector<std::string>& letters, const Pair& pair) {
    for (size_t i = 0; i + 1 < letters.size(); ++i)
      if (letters[i] == pair.first && letters[i + 1] == pair.second) {
        letters[i] += letters[i + 1];
        letters.erase(letters.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
  }

  std::vector<std::pair<std::vector<std::string>, int64_t>> words_;
};

ordered_json tokenizer_json(const Options& o) {
  ordered_json vocab, merges = ordered_json::array(), added = ordered_json::array();
  const auto add = [&](const std::string& token) {
    if (!vocab.contains(token)) vocab[token] = vocab.size();
  };
  for (const char* special : {"<pad>", "<eos>", "<bos>", "<unk>"}) {
    added.push_back({{"id", added.size()}, {"content", special}, {"special", true}});
    add(special);
  }
  char byte[8];
  for (int b = 0; b < 256; ++b) std::snprintf(byte, sizeof byte, "<0x%02X>", b), add(byte);
  add("\xE2\x96\x81");
  for (char c = '!'; c <= '~'; ++c) add(std::string(1, c));
  const auto room = static_cast<size_t>(std::clamp<int64_t>(o.vocab - std::ssize(vocab), 0, 600));
  for (const auto& [left, right] : Merges{built_in_text()}.learn(room)) {
    add(left + right);
    merges.push_back(left + " " + right);
  }
  return {{"version", "1.0"},
          {"added_tokens", added},
          {"normalizer", {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}}},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model",
           {{"type", "BPE"}, {"byte_fallback", true}, {"unk_token", "<unk>"}, {"vocab", vocab}, {"merges", merges}}}};
}

void make(const Options& o) {
  if (o.vocab < 512) throw Error{"a vocabulary needs 512 tokens", "--vocab", "name more", Fault::usage};
  constexpr uint64_t kShardBytes = uint64_t{5} << 30;
  const std::filesystem::path folder = o.out;
  const Existing existing = o.force ? Existing::replace : Existing::refuse;
  std::filesystem::create_directories(folder);
  const std::vector<Planned> tensors = tensors_of(o);
  const safetensors::FolderPlan plan{tensors, {{"format", "pt"}}, kShardBytes, safetensors::FolderPlan::Index::where_sharded};
  safetensors::FolderWriter writer{folder, plan, existing};
  for (size_t i = 0; i < tensors.size(); ++i) write_tensor(writer, i, tensors[i], o.seed);
  writer.commit();
  write_file(folder / "config.json", config_of(o).dump(1), existing);
  write_file(folder / "tokenizer.json", tokenizer_json(o).dump(), existing);
  std::cout << folder.string() << ": " << tensors.size() << " tensors, " << show_size(plan.bytes()) << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"writes a random checkpoint of the shape of Gemma 4 26B-A4B"};
  const auto positive = CLI::Range(int64_t{1}, int64_t{1} << 24);
  for (const auto& [name, value] :
       {std::pair{"--layers", &o.layers}, {"--hidden", &o.hidden}, {"--ffn", &o.ffn}, {"--expert-ffn", &o.expert_ffn},
        {"--experts", &o.experts}, {"--experts-used", &o.used}, {"--vocab", &o.vocab}, {"--heads", &o.heads},
        {"--kv-heads", &o.kv_heads}, {"--full-kv-heads", &o.full_kv_heads}, {"--head", &o.head},
        {"--full-head", &o.full_head}})
    app.add_option(name, *value)->check(positive)->capture_default_str();
  app.add_option("--seed", o.seed)->capture_default_str();
  app.add_flag("--force", o.force, "replace what is there");
  app.add_option("-o,--output", o.out, "folder")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    make(o);
  } catch (const Error& error) {
    std::cerr << "make_gemma4: " << error.what() << "\n";
    return static_cast<int>(error.fault());
  }
}
