#include "calibrate/self_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "infer/text/sampler.hpp"
#include "infer/session.hpp"
#include "infer/tokenizer/tokenizer.hpp"

namespace snug {
namespace {

using Tokens = std::vector<int32_t>;

constexpr uint64_t kVersion = 1;     // raised when the same seed would give other tokens
constexpr size_t kShortest = 32;     // tokens before a document may end
constexpr int64_t kMaxAtOnce = 16;  // documents: the weights are read once for all
constexpr std::string_view kNote = "snug_self_text\n";

/// Neighbouring seeds and documents are to have nothing in common (the finalizer of SplitMix64).
uint64_t scrambled(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

/// A model without a tokenizer, or with one that is not known, can write all the same.
std::optional<infer::Tokenizer> tokenizer_of(const infer::Model& model) {
  std::string why;
  auto tokenizer = infer::tokenizer_if_usable(model.source(), &why);
  if (!tokenizer) log_line(str(why, "; the documents that it writes start with any token"));
  return tokenizer;
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
      for (const Tokens& d : documents(first, count, progress)) all.insert(all.end(), d.begin(), d.end());
      first += count;
    }
    all.resize(static_cast<size_t>(options_.tokens));
    return all;
  }

 private:
  struct Draft {
    int64_t number;
    infer::Sampler sampler;
    infer::Session session;
    Tokens tokens;
  };

  int64_t at_once() const {
    const int64_t memory = std::max<int64_t>(1, session().memory_bytes());
    return std::clamp<int64_t>(memory_for(MemoryUse::documents) / memory, 1, kMaxAtOnce);
  }
  infer::Session session() const { return {model_, {.context = options_.document_tokens, .batch = 1}}; }

  Digest key_of(int64_t number) const {
    Hasher hasher;
    hasher.add("self text").add(kVersion).add_array<uint8_t>(contents_.bytes).add(options_.seed);
    hasher.add(static_cast<uint64_t>(options_.document_tokens)).add_array<float>({&options_.temperature, 1});
    return hasher.add(static_cast<uint64_t>(number)).finish();
  }

  std::optional<Tokens> recall(int64_t number) const {
    if (!keep_) return std::nullopt;
    const auto note = keep_->get(RecordKind::note, key_of(number));
    if (!note || note->size() <= kNote.size()) return std::nullopt;
    Tokens tokens((note->size() - kNote.size()) / sizeof(int32_t));
    std::memcpy(tokens.data(), note->data() + kNote.size(), tokens.size() * sizeof(int32_t));
    const auto is_token = [&](int32_t id) { return id >= 0 && id < vocabulary_; };
    if (static_cast<int64_t>(tokens.size()) > options_.document_tokens ||
        !std::ranges::all_of(tokens, is_token))
      return std::nullopt;  // no document of ours: it is written again
    return tokens;
  }

  void keep(const Draft& draft) const {
    if (!keep_) return;
    std::vector<std::byte> note(kNote.size() + draft.tokens.size() * sizeof(int32_t));
    std::memcpy(note.data(), kNote.data(), kNote.size());
    std::memcpy(note.data() + kNote.size(), draft.tokens.data(), draft.tokens.size() * sizeof(int32_t));
    keep_->put(RecordKind::note, key_of(draft.number), note);
  }

  /// Those that are not kept are written side by side, and kept.
  std::vector<Tokens> documents(int64_t first, int64_t count, Progress& progress) const {
    std::vector<Tokens> all(static_cast<size_t>(count));
    std::vector<std::unique_ptr<Draft>> open;
    for (int64_t i = 0; i < count; ++i) {
      if (auto kept = recall(first + i)) {
        progress.advance_known(static_cast<int64_t>(kept->size()));
        all[static_cast<size_t>(i)] = *std::move(kept);
      } else {
        open.push_back(std::make_unique<Draft>(begin(first + i)));
        progress.advance(1);
      }
    }
    while (!open.empty()) {
      extend(open);
      progress.advance(static_cast<int64_t>(open.size()));
      const auto ended = std::partition(open.begin(), open.end(),
                                        [&](const auto& draft) { return !is_done(draft->tokens); });
      for (auto draft = ended; draft != open.end(); ++draft) {
        keep(**draft);
        all[static_cast<size_t>((*draft)->number - first)] = std::move((*draft)->tokens);
      }
      if (keep_ && ended != open.end()) keep_->sync();
      open.erase(ended, open.end());
    }
    return all;
  }

  int32_t first_token(uint64_t seed) const {
    if (tokenizer_ && tokenizer_->bos() >= 0) return tokenizer_->bos();
    if (tokenizer_ && tokenizer_->eos() >= 0) return tokenizer_->eos();
    return static_cast<int32_t>(scrambled(seed) % static_cast<uint64_t>(vocabulary_));
  }

  Draft begin(int64_t number) const {
    const uint64_t seed = scrambled(options_.seed + scrambled(static_cast<uint64_t>(number) + 1));
    const infer::SamplerOptions all_there_is{.temperature = options_.temperature,
                                             .top_k = 0,
                                             .top_p = 1,
                                             .min_p = 0,
                                             .seed = seed,
                                             .source = model_.source().path().string()};
    return {number,
            infer::Sampler{all_there_is, tokenizer_ ? tokenizer_->suppressed() : std::span<const int32_t>{}},
            session(), Tokens{first_token(seed)}};
  }

  /// By one token each.
  void extend(const std::vector<std::unique_ptr<Draft>>& drafts) const {
    std::vector<infer::Session*> sessions;
    Tokens latest;
    for (const auto& draft : drafts) {
      sessions.push_back(&draft->session);
      latest.push_back(draft->tokens.back());
    }
    infer::Activations logits = infer::Session::forward_each(sessions, latest);
    parallel_for(logits.count(), [&](int64_t i) {
      Draft& draft = *drafts[static_cast<size_t>(i)];
      if (draft.tokens.size() < kShortest)
        for (const int32_t end : ends_) logits.at(i)[end] = -INFINITY;
      draft.tokens.push_back(draft.sampler.next(logits.row(i).first(static_cast<size_t>(vocabulary_))));
    });
  }

  bool is_done(const Tokens& tokens) const {
    return static_cast<int64_t>(tokens.size()) >= options_.document_tokens ||
           std::ranges::find(ends_, tokens.back()) != ends_.end();
  }

  const infer::Model& model_;
  SelfTextOptions options_;
  Store* keep_;
  std::optional<infer::Tokenizer> tokenizer_;
  int64_t vocabulary_ = 0;
  Tokens ends_;
  Digest contents_ = keep_ ? model_.source().contents_digest() : Digest{};
};

}  // namespace

Tokens write_self_text(const infer::Model& model, const SelfTextOptions& options, Store* keep) {
  return Writer{model, options, keep}.write();
}

}  // namespace snug
