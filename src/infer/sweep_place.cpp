#include "infer/sweep_place.hpp"

#include <algorithm>

namespace snug::infer {
namespace {

constexpr uint64_t kMagic = 0x3170656577736773;  // "sgsweep1", the 1 being the version

}  // namespace

void write_rows(NumberWriter& write, const Activations& rows) {
  write(rows.count()), write(rows.values());
}

Activations read_rows(NumberReader& read) {
  int64_t count = 0;
  std::vector<float> values;
  read(count), read(values);
  if (count < 0 || (count == 0 && !values.empty()) || (count > 0 && std::ssize(values) % count != 0))
    read.fail("rows of no length");
  Activations rows = Activations::unset(count, count > 0 ? std::ssize(values) / count : 0);
  std::ranges::copy(values, rows.values().begin());
  return rows;
}

void write_place(NumberWriter& write, const std::vector<Activations>& place) {
  write(std::ssize(place));
  for (const Activations& part : place) write_rows(write, part);
}

std::vector<Activations> read_place(NumberReader& read) {
  constexpr int64_t kMostArrays = 1 << 16;
  int64_t arrays = 0;
  read(arrays);
  if (arrays < 1 || arrays > kMostArrays) read.fail("a sequence stands nowhere");
  std::vector<Activations> place;
  for (int64_t i = 0; i < arrays; ++i) {
    place.push_back(read_rows(read));
    if (place.back().count() == 0) read.fail("rows of no length");
  }
  return place;
}

void SavedSweep::save(const Sweep& sweep, std::span<const size_t> sequences, int block) const {
  NumberWriter write{path, kMagic, key};
  write(int64_t{block}), write(std::ssize(sequences));
  for (const size_t sequence : sequences) write_place(write, sweep.place(sequence));
  write.finish();
}

std::optional<int> SavedSweep::load(Sweep& sweep, int blocks,
                                    const std::function<std::vector<size_t>(int block)>& sequences) const {
  if (path.empty()) return std::nullopt;
  return load_numbers(path, kMagic, key, [&](NumberReader& read) {
    int64_t block = 0, count = 0;
    read(block), read(count);
    if (block < 1 || block > blocks) read.fail("it stands where no sweep can");
    const std::vector<size_t> all = sequences(static_cast<int>(block));
    if (count != std::ssize(all)) read.fail("it is of other sequences");
    for (const size_t sequence : all) sweep.stand(sequence, static_cast<int>(block), read_place(read));
    return static_cast<int>(block);
  });
}

void SavedSweep::remove() const {
  if (path.empty()) return;
  std::filesystem::remove(path);
  remove_leftovers(path);
}

}  // namespace snug::infer
