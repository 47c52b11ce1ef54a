#include "measure/reference_run.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <optional>

#include "base/parallel.hpp"
#include "measure/row_divergence.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

constexpr int64_t kHeadRows =
    32;  // tokens whose logits exist at a time: bounds memory for large vocabularies

using infer::Activations;
using infer::Session;

Activations rows_from(Matrix<const float> m, int64_t first) {
  Activations rows(m.rows - first, m.cols);
  std::copy_n(m.data + first * m.cols, (m.rows - first) * m.cols, rows.at(0));
  return rows;
}

/// Logits of rows behind the last block; the session's memory is not touched.
Activations head(Session& session, std::span<const int32_t> tokens, const Activations& hidden, int64_t begin,
                 int64_t end) {
  session.reset();
  return session.resume(session.model().layers(),
                        tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
                        {hidden.at(begin), end - begin, hidden.width()});
}

}  // namespace

int first_block_of(const infer::Model& model, std::string_view tensor) {
  if (role_of(tensor) == Role::output && layer_of(tensor) < 0) return model.layers();
  return std::clamp(layer_of(tensor), 0, model.layers());
}

/// Taken from the pool for as long as it lives, with the ground in place or as the original.
class ReferenceRun::PooledSession {
 public:
  explicit PooledSession(const ReferenceRun& base, bool original = false) : base_(base) {
    {
      const std::lock_guard lock{base.mutex_};
      if (!base.idle_.empty()) {
        session_ = std::move(base.idle_.back());
        base.idle_.pop_back();
      }
    }
    if (!session_)
      session_ = std::make_unique<Session>(
          base.model_, infer::SessionOptions{.context = base.text_.context(), .batch = base.text_.context()});
    if (original) return;
    for (const Encoded* encoded : base.ground_)
      session_->replace(encoded->tensor, *encoded->format, encoded->data);
  }
  ~PooledSession() {
    session_->restore_all();
    session_->hooks = {};
    const std::lock_guard lock{base_.mutex_};
    base_.idle_.push_back(std::move(session_));
  }
  PooledSession(const PooledSession&) = delete;
  PooledSession& operator=(const PooledSession&) = delete;

  Session& operator*() const { return *session_; }
  Session* operator->() const { return session_.get(); }

 private:
  const ReferenceRun& base_;
  std::unique_ptr<Session> session_;
};

ReferenceRun::ReferenceRun(const infer::Model& model, std::span<const int32_t> tokens,
                           const ProbeOptions& options)
    : model_(model), text_(model, tokens, {options.chunks, options.context, options.bos}) {
  for (int64_t c = 0; c < text_.chunks(); ++c) chunks_.emplace_back().tokens = text_.tokens(c);
  choose_what_to_keep(options.memory_bytes);
}

/// Logits save a head per probe, hidden states up to all blocks of it: the latter go first.
void ReferenceRun::choose_what_to_keep(int64_t memory_bytes) {
  const int64_t each = memory_bytes / std::max<int64_t>(chunks(), 1);
  const int64_t hidden = text_.context() * model_.hparams().embedding * 4;
  int64_t left = each - hidden;
  stride_ = 1;
  while (stride_ < model_.layers() && model_.layers() / stride_ * hidden > left) stride_ *= 2;
  left -= model_.layers() / stride_ * hidden;
  keep_logits_ = scored() * model_.vocabulary() * 4 <= left;
}

std::span<const int32_t> ReferenceRun::scored_tokens(const Chunk& chunk) const {
  return chunk.tokens.subspan(static_cast<size_t>(text_.first_scored()));
}

/// Whether the hidden state before a block is kept.
bool ReferenceRun::keeps(int layer) const {
  return layer > 0 && layer < model_.layers() && layer % stride_ == 0 && model_.architecture().restart(layer) == layer;
}

bool ReferenceRun::keeps_every_block() const {
  for (int layer = 1; layer < model_.layers(); ++layer)
    if (!keeps(layer)) return false;
  return true;
}

Matrix<const float> ReferenceRun::hidden(int64_t chunk, int block) const {
  const Chunk& of = chunks_[static_cast<size_t>(chunk)];
  return block == model_.layers() ? of.last.view() : of.hidden.at(block).view();
}

void ReferenceRun::run_ground(Chunk& chunk) const {
  const PooledSession session{*this};
  const int layers = model_.layers();
  chunk.hidden.clear();
  session->hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> hidden) {
    if (layer == layers) chunk.last = rows_from(hidden, text_.first_scored());
    if (keeps(layer)) chunk.hidden.emplace(layer, rows_from(hidden, 0));
  };
  session->reset();
  session->forward(chunk.tokens, text_.context());
}

void ReferenceRun::run_original(Chunk& chunk) const {
  const PooledSession session{*this, true};
  if (ground_.empty()) {
    run_ground(chunk);
    chunk.original_last = chunk.last;
  } else {
    session->hooks.on_boundary = [&](int layer, int64_t, Matrix<const float> hidden) {
      if (layer == model_.layers()) chunk.original_last = rows_from(hidden, text_.first_scored());
    };
    session->reset();
    session->forward(chunk.tokens, text_.context());
    session->hooks = {};
  }
  if (!keep_logits_) return;
  chunk.logits = Activations::unset(scored(), model_.vocabulary());
  chunk.log_sums.clear();
  for (int64_t begin = 0; begin < scored(); begin += kHeadRows) {
    const int64_t end = std::min(scored(), begin + kHeadRows);
    const Activations logits = head(*session, scored_tokens(chunk), chunk.original_last, begin, end);
    std::ranges::copy(logits.values(), chunk.logits.at(begin));
    for (int64_t r = 0; r < logits.count(); ++r) chunk.log_sums.push_back(infer::log_sum_exp(logits.row(r)));
  }
}

/// Those of `chunks` that have not been run.
std::vector<ReferenceRun::Chunk*> ReferenceRun::without(std::span<const int64_t> chunks, bool Chunk::* what) {
  std::vector<Chunk*> missing;
  for (const int64_t c : chunks)
    if (Chunk& chunk = chunks_[static_cast<size_t>(c)]; !(chunk.*what)) missing.push_back(&chunk);
  return missing;
}

void ReferenceRun::prepare_originals(std::span<const int64_t> chunks) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<Chunk*> missing = without(chunks, &Chunk::has_original);
  parallel_for(std::ssize(missing), [&](int64_t i) { run_original(*missing[static_cast<size_t>(i)]); });
  for (Chunk* chunk : missing) {
    chunk->has_original = true;
    if (ground_.empty()) chunk->has_ground = true;
  }
  originals_ += std::ssize(missing);
  seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void ReferenceRun::prepare(std::span<const int64_t> chunks) {
  prepare_originals(chunks);
  const std::vector<Chunk*> missing = without(chunks, &Chunk::has_ground);
  parallel_for(std::ssize(missing), [&](int64_t i) { run_ground(*missing[static_cast<size_t>(i)]); });
  for (Chunk* chunk : missing) chunk->has_ground = true;
}

void ReferenceRun::prepare(int64_t count) {
  std::vector<int64_t> chunks(static_cast<size_t>(count));
  std::iota(chunks.begin(), chunks.end(), 0);
  prepare(chunks);
}

void ReferenceRun::set_overrides(std::vector<const Encoded*> ground) {
  ground_ = std::move(ground);
  for (Chunk& chunk : chunks_) chunk.has_ground = false;
}

/// The latest block at or before `layer` whose input was kept; 0 is where every run can start.
int ReferenceRun::start_for(int layer, const Chunk& chunk) const {
  const auto after = chunk.hidden.upper_bound(model_.architecture().restart(layer));
  return after == chunk.hidden.begin() ? 0 : std::prev(after)->first;
}

double ReferenceRun::divergence(const Encoded& probe, int layer, int64_t at) const {
  const PooledSession session{*this};
  session->replace(probe.tensor, *probe.format, probe.data);
  return from(*session, layer, chunks_[static_cast<size_t>(at)]).kl;
}

ChunkComparison ReferenceRun::comparison_without(std::string_view tensor, int layer, int64_t at) const {
  const PooledSession session{*this};
  session->restore(tensor);
  return from(*session, layer, chunks_[static_cast<size_t>(at)]);
}

/// What the session says from block `layer` on; before it nothing differs from the ground.
ChunkComparison ReferenceRun::from(Session& session, int layer, const Chunk& chunk) const {
  Activations computed;
  if (layer < model_.layers()) {
    session.hooks.on_boundary = [&](int l, int64_t, Matrix<const float> hidden) {
      if (l == model_.layers()) computed = rows_from(hidden, text_.first_scored());
    };
    session.reset();
    if (const int start = start_for(layer, chunk); start > 0)
      session.resume(start, chunk.tokens, chunk.hidden.at(start).view(), text_.context());
    else
      session.forward(chunk.tokens, text_.context());
    session.hooks = {};
  }
  return compare(session, chunk, layer < model_.layers() ? computed : chunk.last);
}

ChunkComparison ReferenceRun::overridden_comparison(int64_t at) const {
  const Chunk& chunk = chunks_[static_cast<size_t>(at)];
  return compare(*PooledSession{*this}, chunk, chunk.last);
}

/// The head of `session` on `last` against the original.
ChunkComparison ReferenceRun::compare(Session& session, const Chunk& chunk, const Activations& last) const {
  std::optional<PooledSession> original;
  if (!keep_logits_) original.emplace(*this, true);
  std::vector<infer::TokenPair> pairs(static_cast<size_t>(scored()));
  for (int64_t begin = 0; begin < scored(); begin += kHeadRows) {
    const int64_t end = std::min(scored(), begin + kHeadRows);
    const Activations logits = head(session, scored_tokens(chunk), last, begin, end);
    Activations base;
    if (!keep_logits_) base = head(**original, scored_tokens(chunk), chunk.original_last, begin, end);
    const Matrix<const float> originals =
        keep_logits_ ? Matrix<const float>{chunk.logits.at(begin), end - begin, chunk.logits.width()} : base.view();
    const std::span<const double> log_sums =
        keep_logits_ ? std::span{chunk.log_sums}.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin))
                     : std::span<const double>{};
    compare_rows(model_, originals, log_sums, logits, text_.next(chunk.tokens, begin, end),
                 std::span{pairs}.subspan(static_cast<size_t>(begin)));
  }
  return comparison_of(pairs);
}

}  // namespace snug
