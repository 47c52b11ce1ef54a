#include "measure/self_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>

#include "base/digest.hpp"
#include "base/interrupt.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "infer/sampler.hpp"
#include "infer/session.hpp"
#include "infer/tokenizer.hpp"
#include "measure/contents_digest.hpp"

namespace snug {
namespace {

using Tokens = std::vector<int32_t>;

constexpr uint64_t kVersion = 1;     // raised when the same seed would give other tokens
constexpr size_t kShortest = 32;     // tokens before a document may end
constexpr int64_t kMostAtOnce = 64;  // documents
constexpr std::string_view kNote = "snug_self_text\n";

/// Neighbouring seeds and documents are to have nothing in common (the finalizer of SplitMix64).
uint64_t scrambled(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// A model without a tokenizer can write all the same.
std::optional<infer::Tokenizer> tokenizer_of(const infer::Model& model) {
  if (!model.file().find("tokenizer.ggml.model")) return {};
  return infer::Tokenizer{model.file()};
}

class Writer {
 public:
  Writer(const infer::Model& model, const SelfTextOptions& options, Store* keep)
      : model_(model), options_(options), keep_(keep), tokenizer_(tokenizer_of(model)) {
    if (model.hparams().context > 0)
      options_.document_tokens = std::min(options_.document_tokens, model.hparams().context);
    vocabulary_ = model.vocabulary();
    if (!tokenizer_) return;
    vocabulary_ = std::min<int64_t>(vocabulary_, tokenizer_->size());
    for (int32_t t = 0; t < vocabulary_; ++t)
      if (tokenizer_->ends_generation(t)) ends_.push_back(t);
  }

  Tokens write() {
    Progress progress{"writing calibration text", options_.tokens, Progress::Unit::items};
    Tokens all;
    for (int64_t first = 0; static_cast<int64_t>(all.size()) < options_.tokens;) {
      const int64_t left = options_.tokens - static_cast<int64_t>(all.size());
      const int64_t count = std::min(at_once(), (left - 1) / options_.document_tokens + 1);  // all are needed
      std::vector<Tokens> documents(static_cast<size_t>(count));
      parallel_for(count, [&](int64_t i) {
        documents[static_cast<size_t>(i)] = document(first + i);
        progress.advance(std::min(left, static_cast<int64_t>(documents[static_cast<size_t>(i)].size())));
      });
      for (const Tokens& d : documents) all.insert(all.end(), d.begin(), d.end());
      first += count;
    }
    all.resize(static_cast<size_t>(options_.tokens));
    return all;
  }

 private:
  int64_t at_once() const {
    const int64_t memory = std::max<int64_t>(1, session().memory_bytes());
    return std::clamp<int64_t>(available_memory() / 4 / memory, 1, kMostAtOnce);
  }
  infer::Session session() const { return {model_, {.context = options_.document_tokens, .batch = 1}}; }

  Digest key_of(int64_t number) const {
    Hasher hasher;
    hasher.add("self text").add(kVersion).add_array<uint8_t>(contents_.bytes).add(options_.seed);
    hasher.add(static_cast<uint64_t>(options_.document_tokens)).add_array<float>({&options_.temperature, 1});
    return hasher.add(static_cast<uint64_t>(number)).finish();
  }

  /// Kept, or written and kept.
  Tokens document(int64_t number) const {
    if (!keep_) return draw(number);
    const Digest key = key_of(number);
    if (const auto note = keep_->get(RecordKind::note, key); note && note->size() > kNote.size()) {
      Tokens tokens((note->size() - kNote.size()) / sizeof(int32_t));
      std::memcpy(tokens.data(), note->data() + kNote.size(), tokens.size() * sizeof(int32_t));
      return tokens;
    }
    const Tokens tokens = draw(number);
    std::vector<std::byte> note(kNote.size() + tokens.size() * sizeof(int32_t));
    std::memcpy(note.data(), kNote.data(), kNote.size());
    std::memcpy(note.data() + kNote.size(), tokens.data(), tokens.size() * sizeof(int32_t));
    keep_->put(RecordKind::note, key, note);
    keep_->sync();
    return tokens;
  }

  int32_t first_token(uint64_t seed) const {
    if (tokenizer_ && tokenizer_->bos() >= 0) return tokenizer_->bos();
    if (tokenizer_ && tokenizer_->eos() >= 0) return tokenizer_->eos();
    return static_cast<int32_t>(scrambled(seed) % static_cast<uint64_t>(vocabulary_));
  }

  Tokens draw(int64_t number) const {
    const uint64_t seed = scrambled(options_.seed + scrambled(static_cast<uint64_t>(number) + 1));
    infer::Sampler sampler{
        {.temperature = options_.temperature, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed},
        tokenizer_ ? tokenizer_->suppressed() : std::span<const int32_t>{}};
    infer::Session at = session();
    Tokens tokens{first_token(seed)};
    while (static_cast<int64_t>(tokens.size()) < options_.document_tokens) {
      infer::Rows logits = at.forward(std::span{tokens}.last(1));
      if (tokens.size() < kShortest)
        for (const int32_t end : ends_) logits.at(0)[end] = -INFINITY;
      tokens.push_back(sampler.next(logits.row(0).first(static_cast<size_t>(vocabulary_))));
      if (std::ranges::find(ends_, tokens.back()) != ends_.end()) break;
    }
    return tokens;
  }

  const infer::Model& model_;
  SelfTextOptions options_;
  Store* keep_;
  std::optional<infer::Tokenizer> tokenizer_;
  int64_t vocabulary_ = 0;
  Tokens ends_;
  Digest contents_ = keep_ ? contents_digest(model_.file(), model_.hparams().architecture) : Digest{};
};

}  // namespace

Tokens write_self_text(const infer::Model& model, const SelfTextOptions& options, Store* keep) {
  return Writer{model, options, keep}.write();
}

}  // namespace snug
