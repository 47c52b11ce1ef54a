#include "infer/reverse/saved_reverse.hpp"

#include "infer/sweep_place.hpp"

namespace snug::infer {
namespace {

constexpr uint64_t kMagic = 0x316b636162736773;  // "sgsback1", the 1 being the version
constexpr int64_t kMostStages = 1 << 20;

/// Rows of this very shape: a file may say anything, and blocks add to the rows without asking how many there are.
Activations read_shaped(NumberReader& read, int64_t count, int64_t width) {
  Activations rows = read_rows(read);
  if (rows.count() != count || rows.width() != width) read.fail("rows of another shape");
  return rows;
}

}  // namespace

void ReversePass::write_place(NumberWriter& write) const {
  write_rows(write, gradients_);
  write_rows(write, reverse_.by_extra);
  write(std::ssize(reverse_.lent));
  for (const auto& [block, lent] : reverse_.lent) {
    write(int64_t{block});
    for (const Activations* rows : {&lent.keys, &lent.values, &lent.by_keys, &lent.by_values}) write_rows(write, *rows);
  }
}

void ReversePass::read_place(NumberReader& read) {
  const int64_t all = gradients_.count();
  gradients_ = read_shaped(read, all, gradients_.width());
  reverse_.by_extra = read_rows(read);
  const Activations& extra = reverse_.by_extra;  // no block may have come to it yet
  if (extra.count() > 0 && (extra.count() != all || extra.width() != step_.extra.width()))
    read.fail("rows of another shape");
  int64_t lenders = 0;
  read(lenders);
  if (lenders < 0 || lenders > model_.layers()) read.fail("more blocks lend than there are");
  for (int64_t i = 0; i < lenders; ++i) read_lent(read);
}

void ReversePass::read_lent(NumberReader& read) {
  int64_t block = 0;
  read(block);
  if (block < 0 || block >= model_.layers() || !model_.architecture().lends(static_cast<int>(block)))
    read.fail("no such block lends");
  const auto tokens = static_cast<int64_t>(tokens_.size()), all = gradients_.count();
  const LayerCacheShape shape = model_.architecture().memory(static_cast<int>(block));
  Reverse::Lent& lent = reverse_.lent[static_cast<int>(block)];
  lent.keys = read_shaped(read, tokens, shape.key_width);
  lent.values = read_shaped(read, tokens, shape.value_width);
  lent.by_keys = read_shaped(read, all, shape.key_width);
  lent.by_values = read_shaped(read, all, shape.value_width);
}

void SavedReverse::save(int stage, const std::vector<const ReversePass*>& passes,
                        const std::function<void(NumberWriter&, size_t)>& besides) const {
  NumberWriter write{path, kMagic, key};
  write(int64_t{stage}), write(std::ssize(passes));
  for (size_t p = 0; p < passes.size(); ++p) {
    passes[p]->write_place(write);
    besides(write, p);
  }
  write.finish();
}

std::optional<int> SavedReverse::load(const std::vector<ReversePass*>& passes,
                                      const std::function<void(NumberReader&, size_t)>& besides) const {
  return load_numbers(path, kMagic, key, [&](NumberReader& read) {
    int64_t stage = 0, count = 0;
    read(stage), read(count);
    if (stage < -1 || stage > kMostStages || count != std::ssize(passes)) read.fail("it stands where no pass can");
    for (size_t p = 0; p < passes.size(); ++p) {
      passes[p]->read_place(read);
      besides(read, p);
    }
    return static_cast<int>(stage);
  });
}

}  // namespace snug::infer
