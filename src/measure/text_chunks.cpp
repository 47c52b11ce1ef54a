#include "measure/text_chunks.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {

TextChunks::TextChunks(const infer::Model& model, std::span<const int32_t> tokens, const Options& options)
    : context_{options.context}, vocabulary_{model.vocabulary()} {
  if (model.hparams().context > 0) context_ = std::min(context_, model.hparams().context);
  if (context_ < 8)
    throw Error{str("a context of ", context_, " tokens is too short to measure with"), "", "use 256",
                Fault::usage};
  const auto have = static_cast<int64_t>(tokens.size());
  if (have < 2 * context_)
    throw Error{str("the text has ", have, " tokens; at least ", 2 * context_, " are needed for chunks of ",
                    context_),
                "", "give a longer text or a smaller context"};
  for (int64_t c = 0; c < std::min(options.chunks, have / context_); ++c) {
    const auto text = tokens.subspan(static_cast<size_t>(c * context_), static_cast<size_t>(context_));
    chunks_.emplace_back(text.begin(), text.end());
    if (options.bos) chunks_.back().front() = *options.bos;
    for (const int32_t token : chunks_.back())
      if (token < 0 || token >= vocabulary_)
        throw Error{str("token ", token, " is not in the vocabulary of ", vocabulary_),
                    model.source().path().string(), "use the tokenizer of this model"};
  }
}

std::span<const int32_t> TextChunks::next(std::span<const int32_t> chunk, int64_t begin, int64_t end) const {
  const int64_t first = first_scored() + begin + 1, last = std::min(first_scored() + end + 1, std::ssize(chunk));
  return chunk.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
}

Digest TextChunks::digest(int64_t chunk) const {
  return Hasher{}.add_array<int32_t>(tokens(chunk)).add(static_cast<uint64_t>(first_scored())).finish();
}

std::vector<double> TextChunks::token_shares() const {
  std::vector<double> shares(static_cast<size_t>(vocabulary_));
  const double each = 1 / static_cast<double>(chunks() * context_);
  for (const auto& chunk : chunks_)
    for (const int32_t token : chunk) shares[static_cast<size_t>(token)] += each;
  return shares;
}

}  // namespace snug
