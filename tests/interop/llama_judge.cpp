// Judges models with the real llama.cpp: mean KL divergence from a base model by llama-perplexity's protocol (chunks of
// `context` tokens, BOS in front, the second half of each scored), the perplexity of one by the same protocol, or a
// greedy continuation.
//   llama_judge kl BASE.gguf TEXT CONTEXT MODEL.gguf...
//   llama_judge ppl MODEL.gguf TEXT CONTEXT CHUNKS       (BOS only where the vocabulary adds it; exact arithmetic)
//   llama_judge run MODEL.gguf PROMPT COUNT
//   llama_judge ids MODEL.gguf 1,2,3 COUNT               (token ids in and out)
// --cpu NAME before the command takes the library of that processor, as "haswell" (AVX2).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "interop/real_llama.hpp"

namespace {

using snug::test::RealLlama;

std::vector<double> log_softmax(const float* logits, size_t width) {
  const double most = *std::max_element(logits, logits + width);
  double sum = 0;
  for (size_t i = 0; i < width; ++i) sum += std::exp(logits[i] - most);
  std::vector<double> logs(width);
  for (size_t i = 0; i < width; ++i) logs[i] = logits[i] - most - std::log(sum);
  return logs;
}

struct Score {
  double kl = 0, nll = 0, same_top = 0;
  int64_t tokens = 0;
};

void score_chunk(const std::vector<float>& base, const std::vector<float>& model, const std::vector<int32_t>& tokens,
                 size_t width, Score& score) {
  for (size_t i = tokens.size() / 2; i + 1 < tokens.size(); ++i) {
    const auto p = log_softmax(base.data() + i * width, width), q = log_softmax(model.data() + i * width, width);
    for (size_t v = 0; v < width; ++v) score.kl += std::exp(p[v]) * (p[v] - q[v]);
    score.nll -= q[static_cast<size_t>(tokens[i + 1])];
    score.same_top += std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin();
    ++score.tokens;
  }
}

using Chunks = std::vector<std::vector<int32_t>>;

std::string text_of(const char* path) {
  std::ifstream in{path};
  return {std::istreambuf_iterator<char>{in}, {}};
}

int judge(const RealLlama& llama, int argc, char** argv) {
  const size_t context = std::strtoull(argv[4], nullptr, 10);
  const auto base = llama.load(argv[2], static_cast<uint32_t>(context));
  const std::vector<int32_t> all = base->tokenize(text_of(argv[3]), true);
  const auto width = static_cast<size_t>(base->vocabulary());
  Chunks chunks;
  for (size_t at = 0; at + context <= all.size(); at += context) {
    chunks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(at + context));
    chunks.back().front() = base->bos();
  }
  std::vector<std::vector<float>> reference;
  for (const auto& chunk : chunks) reference.push_back(base->logits(chunk));
  for (int i = 5; i < argc; ++i) {
    const auto model = llama.load(argv[i], static_cast<uint32_t>(context));
    Score score;
    for (size_t c = 0; c < chunks.size(); ++c) score_chunk(reference[c], model->logits(chunks[c]), chunks[c], width, score);
    const auto n = static_cast<double>(score.tokens);
    std::printf("%s kl %.9f ppl %.4f top1 %.2f%% chunks %zu\n", argv[i], score.kl / n, std::exp(score.nll / n),
                100 * score.same_top / n, chunks.size());
    std::fflush(stdout);
  }
  return 0;
}

/// Whole chunks of a text, at most so many.
Chunks chunks_of(const RealLlama::Model& model, const char* text, size_t context, size_t most) {
  const std::vector<int32_t> all = model.tokenize(text_of(text), true);
  const bool adds_bos = !all.empty() && all.front() == model.bos();
  Chunks chunks;
  for (size_t at = 0; at + context <= all.size() && chunks.size() < most; at += context) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(at);
    chunks.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(context));
    if (adds_bos) chunks.back().front() = model.bos();
  }
  return chunks;
}

int perplexity(const RealLlama& llama, char** argv) {
  const size_t context = std::strtoull(argv[4], nullptr, 10);
  const auto model = llama.load_exact(argv[2], static_cast<uint32_t>(context));
  Score score;
  for (const auto& chunk : chunks_of(*model, argv[3], context, std::strtoull(argv[5], nullptr, 10))) {
    const std::vector<float> logits = model->logits(chunk);
    score_chunk(logits, logits, chunk, static_cast<size_t>(model->vocabulary()), score);
  }
  std::printf("%.6f\n", std::exp(score.nll / static_cast<double>(score.tokens)));
  return 0;
}

int continue_ids(const RealLlama& llama, char** argv) {
  const auto model = llama.load_exact(argv[2]);
  std::vector<int32_t> tokens;
  for (std::istringstream in{argv[3]}; in; in.ignore())
    if (int32_t token = 0; in >> token) tokens.push_back(token);
  const size_t given = tokens.size();
  const std::vector<int32_t> all = model->generate(std::move(tokens), std::atoi(argv[4]));
  for (size_t i = given; i < all.size(); ++i) std::printf("%s%d", i > given ? "," : "", all[i]);
  std::puts("");
  return 0;
}

int continue_text(const RealLlama& llama, char** argv) {
  const auto model = llama.load(argv[2]);
  for (const int32_t token : model->generate(model->tokenize(argv[3], true), std::atoi(argv[4])))
    std::fputs(model->piece(token).c_str(), stdout);
  std::puts("");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    std::string processor;
    if (argc > 2 && std::string(argv[1]) == "--cpu") {
      processor = argv[2];
      argc -= 2;
      argv += 2;
    }
    const RealLlama llama{RealLlama::find_libraries(), processor};
    if (argc > 5 && std::string(argv[1]) == "kl") return judge(llama, argc, argv);
    if (argc == 6 && std::string(argv[1]) == "ppl") return perplexity(llama, argv);
    if (argc == 5 && std::string(argv[1]) == "run") return continue_text(llama, argv);
    if (argc == 5 && std::string(argv[1]) == "ids") return continue_ids(llama, argv);
    std::fputs("usage: llama_judge [--cpu haswell] kl BASE TEXT CONTEXT MODEL... | ppl MODEL TEXT CONTEXT CHUNKS | "
               "run MODEL PROMPT COUNT | ids MODEL IDS COUNT\n", stderr);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llama_judge: %s\n", error.what());
    return 1;
  }
}
