#include "infer/text/generate.hpp"

#include <algorithm>
#include <utility>

#include "base/events.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

/// Logits behind the tokens.
Activations read(Session& session, std::span<const int32_t> tokens) {
  return session.forward(tokens, static_cast<int64_t>(tokens.size()) - 1);
}

/// How much of the end of `text` begins `stop` without being all of it.
size_t overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n)
    if (text.ends_with(stop.substr(0, n))) return n;
  return 0;
}

}  // namespace

std::string_view name_of(FinishReason ended) {
  switch (ended) {
    case FinishReason::by_itself:
      return "end";
    case FinishReason::at_stop:
      return "stop";
    case FinishReason::at_most_tokens:
      return "length";
    case FinishReason::context_full:
      return "context";
    case FinishReason::interrupted:
      return "interrupted";
  }
  return "";
}

std::string StopWatch::add(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  size_t hit = held_.npos, keep = 0;
  for (const std::string& stop : stops_)
    if (!stop.empty()) {
      hit = std::min(hit, held_.find(stop));
      keep = std::max(keep, overlap(held_, stop));
    }
  stopped_ = hit != held_.npos;
  const size_t ready = stopped_ ? hit : held_.size() - keep;
  std::string out = held_.substr(0, ready);
  held_.erase(0, stopped_ ? held_.size() : ready);
  return out;
}

std::string StopWatch::finish() {
  return std::exchange(held_, {});
}

void check_prompt(const Session& session, const Tokenizer& tokenizer, std::span<const int32_t> prompt) {
  const std::string file = session.model().source().path().string();
  if (tokenizer.size() > session.model().vocabulary())
    throw Error{str("the tokenizer has ", tokenizer.size(), " tokens, the model knows ",
                    session.model().vocabulary()),
                file, "the file's vocabulary belongs to another model"};
  if (prompt.empty())
    throw Error{"the prompt is empty", "", "give the model at least one token to begin from"};
  const int64_t left = session.context() - session.position();
  if (static_cast<int64_t>(prompt.size()) > left)
    throw Error{str("the prompt has ", prompt.size(), " tokens, but only ", left, " of a context of ",
                    session.context(), " are left"),
                file, "shorten the prompt, or give a longer context if the model allows it"};
}

Generation generate(Session& session, const Tokenizer& tokenizer, Sampler& sampler,
                    std::span<const int32_t> prompt, const GenerateOptions& options,
                    const std::function<void(std::string_view)>& show) {
  check_prompt(session, tokenizer, prompt);
  Generation out;
  TokenStream stream{tokenizer, options.special};
  StopWatch stops{options.stops};
  const auto give = [&](const std::string& text) {
    if (text.empty()) return;
    out.text += text;
    show(text);
  };
  const auto draw = [&] {
    for (Activations logits = read(session, prompt);; logits = read(session, {&out.tokens.back(), 1})) {
      check_cancelled();
      if (static_cast<int64_t>(out.tokens.size()) == options.max_tokens) return FinishReason::at_most_tokens;
      // A padded output layer has rows that are no tokens.
      const int32_t token = sampler.next(logits.row(0).first(static_cast<size_t>(tokenizer.size())));
      out.tokens.push_back(token);
      if (tokenizer.ends_generation(token)) return FinishReason::by_itself;
      give(stops.add(stream.add(token)));
      if (stops.stopped()) return FinishReason::at_stop;
      if (session.position() == session.context()) return FinishReason::context_full;
    }
  };
  try {
    out.ended = draw();
  } catch (const Error& error) {
    if (error.fault() != Fault::interrupted) throw;
    out.ended = FinishReason::interrupted;
  }
  give(stops.add(stream.finish()));
  if (stops.stopped())
    out.ended = FinishReason::at_stop;
  else
    give(stops.finish());
  return out;
}

}  // namespace snug::infer
