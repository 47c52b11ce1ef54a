// Writes a synthetic GGUF model of a wanted architecture, size and shape, for benches and tests of memory:
//   make_model --layers 2 --width 704 --ffn 2112 --type bf16 -o awkward.gguf
// The same options give the same bytes. Memory stays flat whatever the size; --fill sparse takes no disk
// either.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "gguf/writer.hpp"
#include "snug/error.hpp"
#include "snug/format.hpp"
#include "tools/random_bits.hpp"

namespace {

using namespace snug;
using tools::mix_bits;
using snug::OutputKey;
using gguf::OutputTensor;

struct Options {
  std::string arch = "llama", type = "f16", fill = "random", out, split;
  int64_t layers = 2, width = 256, ffn = 512, experts = 0, experts_used = 2, heads = 0, kv_heads = 0,
          vocab = 1024;
  int64_t context = 2048;
  uint64_t seed = 1;
  bool tied = false, force = false;

  int64_t head_size() const { return width / heads; }
  bool is_qwen() const { return arch != "llama"; }
};

// --- what the model is made of
// ------------------------------------------------------------------------------------

std::vector<int64_t> divisors(int64_t n) {  // rising
  std::vector<int64_t> all;
  for (int64_t d = 1; d <= n; ++d)
    if (n % d == 0) all.push_back(d);
  return all;
}

/// Fills in the heads that were not given: of 128 weights or fewer, one key head to four or more query heads.
void complete(Options& o) {
  for (const int64_t size : {128, 96, 64, 48, 32, 16, 8, 4, 2})
    if (o.heads == 0 && o.width % size == 0) o.heads = o.width / size;
  if (o.heads < 1 || o.width % o.heads != 0 || o.head_size() % 2 != 0)
    throw Error{str("a width of ", o.width, " cannot be divided into ", o.heads, " heads of an even size"),
                "", "change --heads", Fault::usage};
  if (o.kv_heads == 0)
    for (const int64_t d : divisors(o.heads))
      if (d == 1 || d <= o.heads / 4) o.kv_heads = d;
  if (o.heads % o.kv_heads != 0)
    throw Error{str(o.heads, " heads cannot share ", o.kv_heads, " key heads"), "", "change --kv-heads",
                Fault::usage};
  if ((o.arch == "qwen3moe") != (o.experts > 0) && o.arch != "llama")
    throw Error{"qwen3moe has --experts, qwen3 has none", "", "change --arch or --experts", Fault::usage};
  o.experts_used = std::min(o.experts_used, o.experts);
}

FormatId format_of(const std::string& type) {
  return find_format(type)->id;
}

class Tensors {
 public:
  explicit Tensors(const Options& o) : o_(o), type_(format_of(o.type)) {}

  std::vector<OutputTensor> all() {
    matrix("token_embd", o_.width, o_.vocab);
    for (int64_t layer = 0; layer < o_.layers; ++layer) add_layer(str("blk.", layer, "."));
    vector("output_norm", o_.width);
    if (!o_.tied) matrix("output", o_.width, o_.vocab);
    return std::move(tensors_);
  }

 private:
  void vector(const std::string& name, int64_t cols) {
    tensors_.push_back({name + ".weight", FormatId::f32, 1, {cols, 1, 1, 1}});
  }
  void matrix(const std::string& name, int64_t cols, int64_t rows) {
    tensors_.push_back({name + ".weight", type_, 2, {cols, rows, 1, 1}});
  }
  void experts(const std::string& name, int64_t cols, int64_t rows) {
    tensors_.push_back({name + ".weight", type_, 3, {cols, rows, o_.experts, 1}});
  }

  void add_layer(const std::string& block) {
    const int64_t keys = o_.head_size() * o_.kv_heads;
    vector(block + "attn_norm", o_.width);
    matrix(block + "attn_q", o_.width, o_.width);
    matrix(block + "attn_k", o_.width, keys);
    matrix(block + "attn_v", o_.width, keys);
    matrix(block + "attn_output", o_.width, o_.width);
    if (o_.is_qwen()) vector(block + "attn_q_norm", o_.head_size());
    if (o_.is_qwen()) vector(block + "attn_k_norm", o_.head_size());
    vector(block + "ffn_norm", o_.width);
    o_.experts > 0 ? add_experts(block) : add_dense(block);
  }
  void add_dense(const std::string& block) {
    matrix(block + "ffn_gate", o_.width, o_.ffn);
    matrix(block + "ffn_up", o_.width, o_.ffn);
    matrix(block + "ffn_down", o_.ffn, o_.width);
  }
  void add_experts(const std::string& block) {
    tensors_.push_back({block + "ffn_gate_inp.weight", FormatId::f32, 2, {o_.width, o_.experts, 1, 1}});
    experts(block + "ffn_gate_exps", o_.width, o_.ffn);
    experts(block + "ffn_up_exps", o_.width, o_.ffn);
    experts(block + "ffn_down_exps", o_.ffn, o_.width);
  }

  const Options& o_;
  FormatId type_;
  std::vector<OutputTensor> tensors_;
};

/// A vocabulary of the SentencePiece kind that can spell any text: three control tokens, the 256 bytes, then
/// words.
struct Vocabulary {
  static constexpr int64_t kLeast = 3 + 256;
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;  // 1 normal, 2 unknown, 3 control, 6 byte

  explicit Vocabulary(int64_t size) {
    for (const char* token : {"<unk>", "<s>", "</s>"}) add(token, 0, tokens.empty() ? 2 : 3);
    char byte[16];
    for (int b = 0; b < 256; ++b) {
      std::snprintf(byte, sizeof byte, "<0x%02X>", b);
      add(byte, 0, 6);
    }
    while (static_cast<int64_t>(tokens.size()) < size)
      add(word(tokens.size() - kLeast), -static_cast<float>(tokens.size()), 1);
  }

 private:
  void add(std::string token, float score, int32_t type) {
    tokens.push_back(std::move(token));
    scores.push_back(score);
    types.push_back(type);
  }

  /// "▁", "a" to "z", "▁a" to "▁z", then longer ones, each once.
  static std::string word(size_t n) {
    const std::string space = "\xe2\x96\x81";
    if (n == 0) return space;
    --n;
    std::string text;
    for (size_t rest = n / 2 + 1; rest > 0; rest = (rest - 1) / 26)
      text += static_cast<char>('a' + (rest - 1) % 26);
    return n % 2 ? space + text : text;
  }
};

template <class T>
MetadataValue array_of(MetadataType type, const std::vector<T>& values) {
  return MetadataArray{type, values.size(), std::as_bytes(std::span{values})};
}

std::vector<OutputKey> keys_of(const Options& o, const Vocabulary& vocabulary) {
  const auto u32 = [](int64_t value) { return MetadataValue{static_cast<uint32_t>(value)}; };
  const auto own = [&](const char* key) { return str(o.arch, ".", key); };
  std::vector<OutputKey> keys = {{"general.architecture", o.arch},
                                 {"general.name", str("synthetic ", o.width, "x", o.layers)},
                                 {"general.file_type", u32(o.type == "f32"    ? 0
                                                           : o.type == "bf16" ? 32
                                                                              : 1)},
                                 {own("block_count"), u32(o.layers)},
                                 {own("context_length"), u32(o.context)},
                                 {own("embedding_length"), u32(o.width)},
                                 {own("feed_forward_length"), u32(o.ffn)},
                                 {own("attention.head_count"), u32(o.heads)},
                                 {own("attention.head_count_kv"), u32(o.kv_heads)},
                                 {own("attention.layer_norm_rms_epsilon"), MetadataValue{1e-5f}},
                                 {own("rope.dimension_count"), u32(o.head_size())},
                                 {own("rope.freq_base"), MetadataValue{10000.0f}},
                                 {own("vocab_size"), u32(o.vocab)}};
  if (o.experts > 0) {
    keys.push_back({own("expert_count"), u32(o.experts)});
    keys.push_back({own("expert_used_count"), u32(o.experts_used)});
    keys.push_back({own("expert_feed_forward_length"), u32(o.ffn)});
  }
  if (o.vocab <= Vocabulary::kLeast) {
    keys.push_back({"tokenizer.ggml.model", std::string{"no_vocab"}});
    return keys;
  }
  keys.push_back({"tokenizer.ggml.model", std::string{"llama"}});
  keys.push_back({"tokenizer.ggml.tokens", vocabulary.tokens});
  keys.push_back({"tokenizer.ggml.scores", array_of(MetadataType::f32, vocabulary.scores)});
  keys.push_back({"tokenizer.ggml.token_type", array_of(MetadataType::i32, vocabulary.types)});
  for (const auto& [key, id] : {std::pair{"unknown", 0}, {"bos", 1}, {"eos", 2}})
    keys.push_back({str("tokenizer.ggml.", key, "_token_id"), u32(id)});
  return keys;
}

// --- its weights
// --------------------------------------------------------------------------------------------------

/// One value much like Student's t with 5 degrees of freedom, from 64 random bits, by exact operations alone
/// so that every machine gives the same: four uniform numbers added up, widened by one of 16 quantiles of
/// sqrt(5 / chi-square).
float heavy_tailed(uint64_t bits) {
  constexpr std::array<float, 16> widths = {2.3311f, 1.7913f, 1.566f,  1.4232f, 1.318f,  1.2339f,
                                            1.1629f, 1.1007f, 1.0444f, 0.9921f, 0.9423f, 0.8933f,
                                            0.8436f, 0.7906f, 0.7289f, 0.6383f};
  uint64_t sum = 0;
  for (int i = 0; i < 4; ++i) sum += (bits >> (15 * i)) & 0x7fff;
  const float normal = (static_cast<float>(sum) / 32768.0f - 2.0f) * 1.7320508f;
  return normal * widths[bits >> 60];
}

/// Row `row` of tensor `index`: a stream of its own, so that rows may be made in any order.
void fill_row(uint64_t seed, size_t index, int64_t row, float scale, std::span<float> out) {
  uint64_t state = mix_bits(mix_bits(seed ^ (uint64_t{index} << 40)) + static_cast<uint64_t>(row));
  const float row_scale = scale * (0.75f + static_cast<float>(state >> 40) / 33554432.0f);  // 0.75 to 1.25
  for (float& value : out) value = row_scale * heavy_tailed(mix_bits(state++));
}

int64_t rows(const OutputTensor& tensor) {
  return tensor.shape[1] * tensor.shape[2];
}
int64_t row_bytes(const OutputTensor& tensor) {
  return find_format(tensor.format)->row_bytes(tensor.shape[0]);
}
/// Block formats are slow to encode: their tensors repeat so many rows.
int64_t distinct_rows(const OutputTensor& tensor) {
  return find_format(tensor.format)->block_weights == 1 ? rows(tensor) : std::min<int64_t>(64, rows(tensor));
}

/// One tensor, some 256 thousand weights at a time to a thread. Vectors are norms: ones.
void write_tensor(gguf::Writer& writer, size_t index, const Options& o, Progress& progress) {
  const OutputTensor& tensor = writer.layout().tensors[index];
  const int64_t cols = tensor.shape[0], width = row_bytes(tensor), distinct = distinct_rows(tensor);
  const float scale = 1.0f / std::sqrt(static_cast<float>(cols));
  const int64_t grain = std::max<int64_t>(1, (int64_t{1} << 18) / cols);
  const auto make = [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(cols), 1.0f);
    std::vector<std::byte> bytes(static_cast<size_t>((end - begin) * width));
    for (int64_t r = begin; r < end; ++r) {
      if (tensor.dims > 1) fill_row(o.seed, index, r, scale, row);
      find_format(tensor.format)->encode(row, {}, Effort::normal, bytes.data() + (r - begin) * width);
    }
    return bytes;
  };
  const std::vector<std::byte> repeated =
      distinct < rows(tensor) ? make(0, distinct) : std::vector<std::byte>{};
  parallel_ranges(rows(tensor), repeated.empty() ? grain : distinct, [&](int64_t begin, int64_t end) {
    const auto bytes = static_cast<size_t>((end - begin) * width);
    if (repeated.empty())
      writer.write(index, begin * width, make(begin, end));
    else
      writer.write(index, begin * width, std::span{repeated}.first(bytes));
    progress.advance((end - begin) * width, tensor.name);
  });
}

void write_random(const gguf::Layout& layout, Existing existing, const Options& o) {
  gguf::Writer writer{layout, existing};
  int64_t data = 0;
  for (const OutputTensor& tensor : layout.tensors) data += row_bytes(tensor) * rows(tensor);
  Progress progress{"writing", data, Progress::Unit::bytes};
  for (size_t i = 0; i < layout.tensors.size(); ++i) write_tensor(writer, i, o, progress);
  writer.commit();
}

/// Header, norms, and holes for the rest: any size, next to no disk.
void write_sparse(const gguf::Layout& layout, Existing existing) {
  for (const gguf::Layout::Shard& shard : layout.shards) {
    AtomicFile file{shard.path, existing};
    const std::byte zero{};
    file.write_at(shard.bytes - 1, {&zero, 1});  // the size first; what is not written after it stays a hole
    file.write_at(0, shard.header);
    for (size_t i = shard.first; i < shard.first + shard.count; ++i) {
      const std::vector<float> ones(static_cast<size_t>(layout.tensors[i].shape[0]), 1.0f);
      if (layout.tensors[i].dims == 1) file.write_at(layout.offsets[i], std::as_bytes(std::span{ones}));
    }
    file.commit();
  }
}

void make(Options o) {
  complete(o);
  const Vocabulary vocabulary{o.vocab};
  const gguf::Layout layout = gguf::plan_layout(o.out, keys_of(o, vocabulary), Tensors{o}.all(),
                                                o.split.empty() ? 0 : parse_size(o.split));
  const Existing existing = o.force ? Existing::replace : Existing::refuse;
  o.fill == "sparse" ? write_sparse(layout, existing) : write_random(layout, existing, o);
  std::cout << layout.shards[0].path.string() << ": " << layout.tensors.size() << " tensors, "
            << show_size(layout.bytes)
            << (layout.shards.size() > 1 ? str(" in ", layout.shards.size(), " files\n") : "\n");
}

void add_options(CLI::App& app, Options& o) {
  app.add_option("--arch", o.arch)
      ->check(CLI::IsMember({"llama", "qwen3", "qwen3moe"}))
      ->capture_default_str();
  app.add_option("--layers", o.layers)->check(CLI::Range(1, 512))->capture_default_str();
  app.add_option("--width", o.width, "columns of most matrices")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--ffn", o.ffn, "columns of ffn_down; of each expert")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--experts", o.experts)->check(CLI::Range(0, 1 << 16))->capture_default_str();
  app.add_option("--experts-used", o.experts_used)->check(CLI::Range(1, 1 << 16))->capture_default_str();
  app.add_option("--heads", o.heads, "default: of 128 weights or fewer")->check(CLI::Range(1, 1 << 16));
  app.add_option("--kv-heads", o.kv_heads, "default: a quarter of the heads or fewer")
      ->check(CLI::Range(1, 1 << 16));
  app.add_option("--vocab", o.vocab, "tokens; below 260 there is no tokenizer")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--context", o.context)->check(CLI::Range(1, 1 << 24))->capture_default_str();
  app.add_option("--type", o.type, "a format; block formats repeat rows, and are for benches of speed")
      ->check([](const std::string& name) { return find_format(name) ? "" : "no format of that name"; })
      ->capture_default_str();
  app.add_option("--fill", o.fill, "random: heavy-tailed weights; sparse: holes")
      ->check(CLI::IsMember({"random", "sparse"}))
      ->capture_default_str();
  app.add_option("--seed", o.seed)->capture_default_str();
  app.add_option("--split", o.split, "files of at most this size, as 2GB");
  app.add_flag("--tied", o.tied, "no output.weight");
  app.add_flag("--force", o.force, "replace what is there");
  app.add_option("-o,--output", o.out)->required();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"writes a synthetic GGUF model"};
  add_options(app, options);
  CLI11_PARSE(app, argc, argv);
  try {
    make(options);
  } catch (const Error& error) {
    std::cerr << "make_model: " << error.what() << "\n";
    return static_cast<int>(error.fault());
  }
}
