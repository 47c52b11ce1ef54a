#include "infer/sweep.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::infer {
namespace {

const Hooks kNoHooks;
const Replacements kNothingReplaced;

Activations rows_of(const Activations& all, int64_t begin, int64_t end) {
  Activations part = Activations::unset(end - begin, all.width());
  std::copy_n(all.at(begin), part.values().size(), part.at(0));
  return part;
}

/// `from` takes the place of what `to`, which is as wide and empty at first, has from row `begin` on.
void put_rows(const Activations& from, int64_t begin, int64_t count, Activations& to) {
  if (from.count() == 0) return;
  if (to.count() == 0) to = Activations::unset(count, from.width());
  std::ranges::copy(from.values(), to.at(begin));
}

/// Of a row that holds the bytes of a cache.
int64_t packed_width(const KvCache& cache) {
  return (cache.bytes() + 3) / 4;
}

}  // namespace

/// A workshop for as long as it lives.
class Sweep::Borrowed {
 public:
  explicit Borrowed(Sweep& sweep) : sweep_{sweep} {
    {
      const std::lock_guard lock{sweep.mutex_};
      if (!sweep.idle_.empty()) {
        shop_ = std::move(sweep.idle_.back());
        sweep.idle_.pop_back();
      }
    }
    if (!shop_) shop_ = std::make_unique<Workshop>();
  }
  ~Borrowed() {
    const std::lock_guard lock{sweep_.mutex_};
    sweep_.idle_.push_back(std::move(shop_));
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  Workshop& operator*() const { return *shop_; }

 private:
  Sweep& sweep_;
  std::unique_ptr<Workshop> shop_;
};

Sweep::Sweep(const Model& model, const SessionOptions& options, int64_t memory_bytes)
    : model_{model}, options_{settled(options, model)}, store_{memory_bytes} {}

Sweep::Sequence& Sweep::at(size_t sequence) {
  const std::lock_guard lock{mutex_};
  return sequences_.at(sequence);
}

const Sweep::Sequence& Sweep::at(size_t sequence) const {
  const std::lock_guard lock{mutex_};
  return sequences_.at(sequence);
}

size_t Sweep::add(Sequence sequence) {
  const std::lock_guard lock{mutex_};
  sequences_.push_back(std::move(sequence));
  return sequences_.size() - 1;
}

Batch Sweep::batch_of(const Sequence& sequence, int64_t begin, int64_t end, SequenceState& memory,
                      const SweepStep& how) const {
  return {.tokens = std::span{sequence.tokens}.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
          .lanes = {{&memory, begin, 0, end - begin}},
          .context = rounded_context(options_),
          .compute = options_.compute,
          .hooks = how.hooks ? *how.hooks : kNoHooks,
          .replaced = how.replaced ? *how.replaced : kNothingReplaced};
}

size_t Sweep::begin(std::span<const int32_t> tokens, const SweepStep& how) {
  check_tokens(model_, tokens);
  if (std::ssize(tokens) > options_.context)
    throw Error{str("a sequence of ", tokens.size(), " tokens does not fit a context of ", options_.context)};
  Sequence sequence{{tokens.begin(), tokens.end()}, 0, {}, {}, {}};
  const auto count = static_cast<int64_t>(tokens.size());
  Activations hidden, extra;
  SequenceState none;
  for (int64_t begin = 0; begin < count; begin += options_.batch) {
    Batch step = batch_of(sequence, begin, std::min(count, begin + options_.batch), none, how);
    put_rows(model_.architecture().embed(step), begin, count, hidden);
    put_rows(step.extra, begin, count, extra);
  }
  sequence.hidden = store_.keep(std::move(hidden));
  if (extra.count() > 0) sequence.extra = store_.keep(std::move(extra));
  return add(std::move(sequence));
}

size_t Sweep::branch(size_t of) {
  Sequence copy = at(of);
  copy.hidden = store_.keep(copy.hidden->read());
  return add(std::move(copy));
}

void Sweep::end(size_t sequence) {
  at(sequence) = {};
}

void Sweep::step(size_t number, const SweepStep& how, bool goes_on) {
  Sequence& sequence = at(number);
  const Borrowed shop{*this};
  set_up(*shop, sequence);
  Activations x = sequence.hidden->read();
  run_block(*shop, sequence, how, x);
  if (!goes_on) return;
  if (model_.architecture().lends(sequence.block))
    sequence.lent[sequence.block] = pack((*shop).memory.kv[static_cast<size_t>(sequence.block)]);
  sequence.hidden->replace(std::move(x));
  ++sequence.block;
}

Activations Sweep::hidden(size_t sequence, int64_t first) const {
  Activations all = at(sequence).hidden->read();
  return first == 0 ? std::move(all) : rows_of(all, first, all.count());
}

std::vector<Activations> Sweep::place(size_t sequence) const {
  const Sequence& from = at(sequence);
  std::vector<Activations> place{from.hidden->read()};
  for (const auto& [lender, rows] : from.lent) place.push_back(rows->read());
  return place;
}

void Sweep::stand(size_t sequence, int block, std::vector<Activations> place) {
  Sequence& to = at(sequence);
  const auto take = [&](size_t i, int64_t count, int64_t width) {
    if (i >= place.size() || place[i].count() != count || place[i].width() != width)
      throw Error{str("what was kept of a sequence is not what stands before block ", block)};
    return store_.keep(std::move(place[i]));
  };
  to.hidden = take(0, std::ssize(to.tokens), model_.hparams().embedding);
  size_t next = 1;
  for (int lender = 0; lender < block; ++lender)
    if (model_.architecture().lends(lender)) to.lent[lender] = take(next++, 1, packed_width(cache_of(lender)));
  to.block = block;
}

Activations Sweep::head(const Activations& hidden, const SweepStep& how) const {
  SequenceState none;
  return model_.architecture().head(batch_of({}, 0, 0, none, how), hidden);
}

/// With all positions where other blocks read it too: a window would have moved on before their turn comes.
KvCache Sweep::cache_of(int block) const {
  const LayerCacheShape shape = model_.architecture().memory(block);
  const int64_t cells = model_.architecture().lends(block) ? options_.context : cache_cells(shape, options_);
  return {cache_format(options_.cache), shape, cells};
}

/// Keys and values take the place of those of the sequence before, states start at zero.
void Sweep::set_up(Workshop& shop, const Sequence& sequence) const {
  const auto block = static_cast<size_t>(sequence.block), blocks = static_cast<size_t>(model_.layers());
  const LayerCacheShape shape = model_.architecture().memory(sequence.block);
  SequenceState& memory = shop.memory;
  if (shop.block != sequence.block) {
    memory.kv = std::vector<KvCache>(blocks);
    memory.states = std::vector<RecurrentState>(blocks);
    memory.kv[block] = cache_of(sequence.block);
    shop.block = sequence.block;
  }
  memory.states[block].conv.assign(static_cast<size_t>(shape.conv_values), 0.0f);
  memory.states[block].state.assign(static_cast<size_t>(shape.state_values), 0.0f);
  if (shape.key_width > 0) return;
  for (const auto& [lender, rows] : sequence.lent) {
    KvCache& cache = memory.kv[static_cast<size_t>(lender)] = cache_of(lender);
    const Activations packed = rows->read();
    cache.restore(std::as_bytes(packed.values()));
  }
}

void Sweep::run_block(Workshop& shop, const Sequence& sequence, const SweepStep& how, Activations& x) const {
  const Activations extra = sequence.extra ? sequence.extra->read() : Activations{};
  const int64_t count = x.count();
  for (int64_t begin = 0; begin < count; begin += options_.batch) {
    const int64_t end = std::min(count, begin + options_.batch);
    Batch step = batch_of(sequence, begin, end, shop.memory, how);
    auto& tables = shop.tables[{begin, end - begin}];
    step.rope_tables.swap(tables);
    if (extra.count() > 0) step.extra = rows_of(extra, begin, end);
    Activations part = rows_of(x, begin, end);
    model_.architecture().layer(step, sequence.block, part);
    std::ranges::copy(part.values(), x.at(begin));
    step.rope_tables.swap(tables);
  }
}

Sweep::Rows Sweep::pack(const KvCache& cache) {
  Activations rows(1, packed_width(cache));
  cache.copy_to(std::as_writable_bytes(rows.values()));
  return store_.keep(std::move(rows));
}

}  // namespace snug::infer
