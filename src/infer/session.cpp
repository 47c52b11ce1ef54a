#include "infer/session.hpp"

#include <algorithm>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "infer/matmul.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

/// A pass of few tokens is a quick series of short loops. With more tokens they are long, and better shared
/// out as they usually are: a thread then has rows that are neighbours.
template <class Pass>
Activations spinning_for_few(size_t tokens, Pass&& pass) {
  if (static_cast<int64_t>(tokens) >= kProductTokens) return pass();
  Activations rows;
  with_spinning_threads([&] { rows = pass(); });
  return rows;
}

Activations copy_of(Matrix<const float> m) {
  Activations rows(m.rows, m.cols);
  std::copy_n(m.data, m.rows * m.cols, rows.at(0));
  return rows;
}

}  // namespace

const Format& cache_format(FormatId id) {
  const Format* format = find_format(id);
  if (!format || (id != FormatId::f32 && id != FormatId::f16 && id != FormatId::q8_0))
    throw Error{str("a KV cache cannot be kept in the format ", format_name(id)), "", "use f32, f16 or q8_0",
                Fault::usage};
  return *format;
}

int64_t cache_cells(const LayerCacheShape& layer, const SessionOptions& options) {
  if (layer.key_width == 0) return 1;
  if (layer.window == 0) return options.context;
  return std::min(options.context, layer.window + options.batch - 1);
}

SessionOptions settled(SessionOptions options, const Model& model) {
  if (options.context <= 0) options.context = model.hparams().context;
  if (options.context <= 0)
    throw Error{"the model does not say how long its context is", model.source().path().string(),
                "say how many tokens the context is to have"};
  if (options.context > kLongestContext)
    throw Error{str("a context of ", options.context, " tokens is too long"), model.source().path().string(),
                str("give a context of ", kLongestContext, " or less"), Fault::usage};
  options.batch = std::clamp<int64_t>(options.batch, 1, options.context);
  return options;
}

int64_t rounded_context(const SessionOptions& options) {
  return (options.context + 255) / 256 * 256;
}

Weight stand_in(const Model& model, std::string_view tensor, const Format& format, std::span<const std::byte> data) {
  const Weight* weight = model.find(tensor);
  if (!weight)
    throw Error{str("tensor '", tensor, "' is not a matrix of the model"), model.source().path().string()};
  Weight other = *weight;
  other.format = &format;
  other.data = data;
  other.parts.clear();
  other.repacked = {};
  if (!format.fits(weight->cols) || static_cast<int64_t>(data.size()) != other.bytes())
    throw Error{str(data.size(), " bytes of ", format.name, " cannot stand in for '", tensor, "'"),
                model.source().path().string()};
  return other;
}

void check_tokens(const Model& model, std::span<const int32_t> tokens) {
  for (const int32_t token : tokens)
    if (token < 0 || token >= model.vocabulary())
      throw Error{str("token ", token, " is not in the vocabulary of ", model.vocabulary()),
                  model.source().path().string(), "use the tokenizer of this model"};
}

Session::Session(const Model& model, const SessionOptions& options)
    : model_{model}, options_{settled(options, model)} {
  const int64_t needed = cache_bytes(model, options_), free = free_memory();
  if (needed > free)
    throw Error{str("the keys and values of a context of ", options_.context, " tokens take ",
                    show_size(needed), ", more than the ", show_size(free), " of free memory"),
                model.source().path().string(), "give a shorter context"};
  const Format& format = cache_format(options_.cache);
  for (int l = 0; l < model.layers(); ++l) {
    const LayerCacheShape layer = model.architecture().memory(l);
    memory_.kv.emplace_back(format, layer, cache_cells(layer, options_));
    memory_.states.push_back({std::vector<float>(static_cast<size_t>(layer.conv_values)),
                              std::vector<float>(static_cast<size_t>(layer.state_values))});
  }
}

int64_t Session::cache_bytes(const Model& model, const SessionOptions& options) {
  const SessionOptions used = settled(options, model);
  int64_t sum = 0;
  for (int l = 0; l < model.layers(); ++l) {
    const LayerCacheShape layer = model.architecture().memory(l);
    sum += KvCache::bytes_of(cache_format(used.cache), layer, cache_cells(layer, used));
  }
  return sum;
}

void Session::reset() {
  position_ = 0;  // keys and values are overwritten as positions are filled again
  for (RecurrentState& state : memory_.states) {
    std::ranges::fill(state.conv, 0.0f);
    std::ranges::fill(state.state, 0.0f);
  }
}

Session::Mark Session::mark() const {
  Mark mark{position_, {}, memory_.states};
  for (size_t l = 0; l < memory_.kv.size(); ++l) {
    const KvCache& cache = memory_.kv[l];
    if (cache.bytes() > 0 && cache.cells() < options_.context) mark.windows.emplace(l, cache);
  }
  return mark;
}

void Session::rewind(const Mark& mark) {
  position_ = mark.position;
  for (const auto& [l, cache] : mark.windows) memory_.kv[l] = cache;
  memory_.states = mark.states;
}

int64_t Session::memory_bytes() const {
  int64_t sum = 0;
  for (const KvCache& cache : memory_.kv) sum += cache.bytes();
  for (const RecurrentState& s : memory_.states)
    sum += static_cast<int64_t>((s.conv.size() + s.state.size()) * 4);
  return sum;
}

void Session::check(std::span<const int32_t> tokens) const {
  check_tokens(model_, tokens);
  if (static_cast<int64_t>(tokens.size()) > options_.context - position_)
    throw Error{str("the context of ", options_.context, " tokens is full: ", position_, " are in it and ",
                    tokens.size(), " more were given"),
                model_.source().path().string(), "give a longer context or a shorter text"};
}

Activations Session::forward(std::span<const int32_t> tokens, int64_t first_wanted) {
  return spinning_for_few(tokens.size(), [&] { return run(0, tokens, nullptr, first_wanted); });
}

Activations Session::forward_each(std::span<Session* const> sessions, std::span<const int32_t> tokens) {
  if (sessions.empty() || sessions.size() != tokens.size())
    throw Error{str(tokens.size(), " tokens for ", sessions.size(), " sessions")};
  const Session& first = *sessions.front();
  Batch step{.tokens = tokens,
            .lanes = {},
            .context = rounded_context(first.options_),
            .compute = first.options_.compute,
            .hooks = first.hooks,
            .replaced = first.replaced_};
  for (size_t i = 0; i < sessions.size(); ++i) {
    Session& s = *sessions[i];
    const bool plain = s.replaced_.empty() && !s.hooks.on_linear && !s.hooks.on_boundary;
    if (&s.model_ != &first.model_ || rounded_context(s.options_) != step.context ||
        s.options_.compute != step.compute || !plain)
      throw Error{"sessions that do not go together"};
    s.check(tokens.subspan(i, 1));
    step.lanes.push_back({&s.memory_, s.position_, static_cast<int64_t>(i), 1});
  }
  return spinning_for_few(tokens.size(), [&] {
    const Architecture& architecture = first.model_.architecture();
    Activations x = architecture.embed(step);
    for (int l = 0; l < first.model_.layers(); ++l) {
      check_cancelled();
      architecture.layer(step, l, x);
    }
    for (Session* s : sessions) ++s->position_;
    return architecture.head(step, x);
  });
}

Activations Session::resume(int layer, std::span<const int32_t> tokens, Matrix<const float> hidden,
                     int64_t first_wanted) {
  if (layer < 0 || layer > model_.layers() || hidden.rows != static_cast<int64_t>(tokens.size()) ||
      hidden.cols != model_.hparams().embedding)
    throw Error{str("cannot resume before block ", layer, " with ", hidden.rows, " rows of ", hidden.cols)};
  return spinning_for_few(tokens.size(), [&] { return run(layer, tokens, &hidden, first_wanted); });
}

Activations Session::run(int layer, std::span<const int32_t> tokens, const Matrix<const float>* hidden,
                  int64_t first_wanted) {
  check(tokens);
  const auto count = static_cast<int64_t>(tokens.size());
  const Architecture& architecture = model_.architecture();
  Activations logits(std::max<int64_t>(0, count - first_wanted), model_.vocabulary());
  for (int64_t begin = 0; begin < count; begin += options_.batch) {
    check_cancelled();
    const int64_t end = std::min(count, begin + options_.batch);
    Batch step{.tokens = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
              .lanes = {{&memory_, position_, 0, end - begin}},
              .context = rounded_context(options_),
              .compute = options_.compute,
              .hooks = hooks,
              .replaced = replaced_};
    Activations x = architecture.embed(step);
    if (hidden) x = copy_of({hidden->data + begin * hidden->cols, end - begin, hidden->cols});
    for (int l = layer; l < model_.layers(); ++l) {
      // A layer of a large model takes seconds. Who adds up what goes in is shown whole batches.
      if (!hooks.on_linear) check_cancelled();
      if (hooks.on_boundary) hooks.on_boundary(l, position_, x.view());
      architecture.layer(step, l, x);
    }
    if (hooks.on_boundary) hooks.on_boundary(model_.layers(), position_, x.view());
    position_ += end - begin;
    const int64_t from = std::max(begin, first_wanted);
    if (from >= end) continue;
    const Activations part = architecture.head(step, copy_of({x.at(from - begin), end - from, x.width()}));
    std::copy_n(part.at(0), part.count() * part.width(), logits.at(from - first_wanted));
  }
  return logits;
}

void Session::replace(std::string_view tensor, const Format& format, std::span<const std::byte> data) {
  const Weight other = stand_in(model_, tensor, format, data);
  replaced_.insert_or_assign(model_.find(tensor), other);
}

void Session::restore(std::string_view tensor) {
  if (const Weight* weight = model_.find(tensor)) replaced_.erase(weight);
}

}  // namespace snug::infer
