#include "eval/evaluate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/parallel.hpp"
#include "base/str.hpp"
#include "eval/scored_run.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

int32_t token_after(const Chunks& chunks, int64_t chunk, int64_t row) {
  return chunks.chunk(chunk)[static_cast<size_t>(chunks.first() + row + 1)];
}

/// A figure made from logits that are no numbers says nothing.
void check_number(float figure, const Model& model, const Chunks& chunks, int64_t chunk, int64_t row) {
  if (std::isfinite(figure)) return;
  throw Error{
      str("what is predicted for token ", chunks.first() + row + 1, " of chunk ", chunk, " is ", figure),
      model.source().path().string(), "weights or metadata of the model are damaged: copy or convert it again"};
}

/// Where rows of a chunk come from, and where they are.
struct Place {
  const Chunks& chunks;
  int64_t chunk = 0, first = 0;
};

/// Pairs of some rows of `model`, whose `logits` these are, and of the original, run as `base` if it is run.
/// base_row(row, scratch) gives the original's row, counted from the first; `scratch` [vocabulary] may hold it.
void compare_rows(const Model& model, const Model* base, const Place& at, const Activations& logits,
                  const std::function<BaseRow(int64_t, std::span<float>)>& base_row, std::vector<TokenPair>& pairs) {
  const size_t start = pairs.size();
  pairs.resize(start + static_cast<size_t>(logits.count()));
  parallel_ranges(logits.count(), 4, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(logits.width()));
    for (int64_t r = begin; r < end; ++r)
      pairs[start + static_cast<size_t>(r)] =
          compare(base_row(r, scratch), logits.row(r), token_after(at.chunks, at.chunk, at.first + r));
  });
  for (size_t i = start; i < pairs.size(); ++i) {
    const int64_t row = at.first + static_cast<int64_t>(i - start);
    if (base) check_number(pairs[i].base.loss, *base, at.chunks, at.chunk, row);
    check_number(pairs[i].model.loss, model, at.chunks, at.chunk, row);
    check_number(pairs[i].divergence, model, at.chunks, at.chunk, row);
  }
}

void check_vocabularies(int64_t model, int64_t base, const Session& session) {
  if (model != base)
    throw Error{str("the model has a vocabulary of ", model, " tokens, the original of ", base),
                session.model().source().path().string(), "compare a model with what it was made from"};
}

}  // namespace

Chunks cut_into_chunks(std::vector<int32_t> tokens, int64_t context, int64_t limit,
                       const std::string& source) {
  if (context < 4)
    throw Error{str("a context of ", context, " tokens is too short to score"), "", "", Fault::usage};
  const auto have = static_cast<int64_t>(tokens.size());
  if (have < 2 * context)
    throw Error{str("the text has ", have, " tokens; at least ", 2 * context, " are needed for a context of ",
                    context),
                source, "give a longer text or a shorter context"};
  int64_t count = have / context;
  if (limit > 0) count = std::min(count, limit);
  tokens.resize(static_cast<size_t>(count * context));
  return {context, std::move(tokens)};
}

std::vector<TokenScore> score_chunks(const Session& session, const Chunks& chunks, std::optional<int32_t> bos,
                                     BaseLogitsWriter* save, const AfterChunk& after) {
  std::vector<TokenScore> scores;
  ScoredRun run{session, chunks, chunks.count(), bos};
  for (int64_t c = 0; c < chunks.count(); ++c) {
    for (const ScoredRun::Piece& piece : run.pieces()) {
      const Activations logits = run.logits(c, piece);
      if (save) save->write_rows(logits);
      const size_t start = scores.size();
      scores.resize(start + static_cast<size_t>(logits.count()));
      parallel_for(
          logits.count(),
          [&](int64_t r) {
            scores[start + static_cast<size_t>(r)] = score(logits.row(r), token_after(chunks, c, piece.first + r));
          },
          4);
      for (int64_t r = 0; r < logits.count(); ++r)
        check_number(scores[start + static_cast<size_t>(r)].loss, run.model(), chunks, c, piece.first + r);
    }
    if (after) after(c);
  }
  return scores;
}

std::vector<TokenPair> compare_chunks(const Session& session, const Session& base, const Chunks& chunks,
                                      std::optional<int32_t> bos, BaseLogitsWriter* save,
                                      const AfterChunk& after) {
  check_vocabularies(session.model().vocabulary(), base.model().vocabulary(), session);
  std::vector<TokenPair> pairs;
  ScoredRun run{session, chunks, chunks.count(), bos};
  ScoredRun originals{base, chunks, chunks.count(), bos};
  for (int64_t c = 0; c < chunks.count(); ++c) {
    for (const ScoredRun::Piece& piece : run.pieces()) {
      const Activations original = originals.logits(c, piece);
      if (save) save->write_rows(original);
      const auto base_row = [&](int64_t r, std::span<float>) {
        return BaseRow{original.row(r), log_sum_exp(original.row(r)), -std::numeric_limits<double>::infinity()};
      };
      compare_rows(run.model(), &originals.model(), {chunks, c, piece.first}, run.logits(c, piece), base_row, pairs);
    }
    if (after) after(c);
  }
  return pairs;
}

std::vector<TokenPair> compare_chunks(const Session& session, const BaseLogits& base, int64_t limit,
                                      std::optional<int32_t> bos, const AfterChunk& after) {
  check_vocabularies(session.model().vocabulary(), base.vocabulary(), session);
  const Chunks& chunks = base.chunks();
  const int64_t count = limit > 0 ? std::min(limit, chunks.count()) : chunks.count();
  std::vector<TokenPair> pairs;
  ScoredRun run{session, chunks, count, bos};
  for (int64_t c = 0; c < count; ++c) {
    for (const ScoredRun::Piece& piece : run.pieces()) {
      const auto base_row = [&](int64_t r, std::span<float> scratch) {
        base.read(c, piece.first + r, scratch);
        return BaseRow{scratch, 0, BaseLogits::kFloor};
      };
      compare_rows(run.model(), nullptr, {chunks, c, piece.first}, run.logits(c, piece), base_row, pairs);
    }
    if (after) after(c);
  }
  return pairs;
}

std::vector<size_t> worst_tokens(std::span<const TokenPair> pairs, size_t count) {
  std::vector<size_t> order(pairs.size());
  std::iota(order.begin(), order.end(), size_t{0});
  count = std::min(count, order.size());
  std::partial_sort(
      order.begin(), order.begin() + static_cast<int64_t>(count), order.end(), [&](size_t a, size_t b) {
        return pairs[a].divergence != pairs[b].divergence ? pairs[a].divergence > pairs[b].divergence : a < b;
      });
  order.resize(count);
  return order;
}

}  // namespace snug::infer
