#include "calibrate/collect_pass.hpp"

#include <cstdint>
#include <string>

#include "base/files/saved_numbers.hpp"
#include "infer/sweep_place.hpp"

namespace snug {
namespace {

constexpr uint64_t kMagic = 0x31736D7573677573;  // "sugsums1", the 1 being the version

template <class Visitor, class Sums>
void visit_columns(Visitor& visit, Sums& sums) {
  visit(sums.cols), visit(sums.mats), visit(sums.squares), visit(sums.sums), visit(sums.counts);
}

template <class Visitor, class Sums>
void visit_moments(Visitor& visit, Sums& m) {
  visit(m.input), visit(m.dim), visit(m.first), visit(m.mats), visit(m.counts), visit(m.sums);
}

void write_sums(NumberWriter& write, const ColumnSumsByTensor& columns, const std::vector<MomentSums>& moments) {
  write(static_cast<int64_t>(columns.size()));
  write(static_cast<int64_t>(moments.size()));
  for (const auto& [name, sums] : columns) {
    write(name);
    visit_columns(write, sums);
  }
  for (const MomentSums& sums : moments) visit_moments(write, sums);
}

void read_sums(NumberReader& read, ColumnSumsByTensor& columns, std::vector<MomentSums>& moments) {
  int64_t tensors = 0, inputs = 0;
  read(tensors), read(inputs);
  for (int64_t i = 0; i < tensors; ++i) {
    std::string name;
    read(name);
    ColumnSums& sums = columns[name];
    visit_columns(read, sums);
    if (!sums.is_sound()) read.fail("sums of columns that cannot be");
  }
  for (int64_t i = 0; i < inputs; ++i) {
    visit_moments(read, moments.emplace_back());
    if (!moments.back().is_sound()) read.fail("second moments that cannot be");
  }
}

CollectPass read_pass(NumberReader& read) {
  CollectPass pass;
  read(pass.chunks_done);
  read_sums(read, pass.columns, pass.moments);
  return pass;
}

}  // namespace

void save_pass(const std::filesystem::path& path, const Digest& key, const CollectPass& pass) {
  NumberWriter write{path, kMagic, key};
  write(pass.chunks_done);
  write_sums(write, pass.columns, pass.moments);
  write.finish();
}

std::optional<CollectPass> load_pass(const std::filesystem::path& path, const Digest& key) {
  return load_numbers(path, kMagic, key, read_pass);
}

void save_place(const std::filesystem::path& path, const Digest& key, const CollectPlace& place, int64_t chunks,
                const std::function<std::vector<infer::Activations>(int64_t chunk)>& rows) {
  NumberWriter write{path, kMagic, key};
  write(place.stage), write(place.pass), write(int64_t{place.finished}), write(chunks);
  write_sums(write, place.columns, place.moments);
  for (int64_t c = 0; c < chunks; ++c) infer::write_place(write, rows(c));
  write.finish();
}

std::optional<CollectPlace> load_place(
    const std::filesystem::path& path, const Digest& key, int64_t chunks,
    const std::function<void(const CollectPlace& place, int64_t chunk, std::vector<infer::Activations> rows)>& take) {
  return load_numbers(path, kMagic, key, [&](NumberReader& read) {
    CollectPlace place;
    int64_t finished = 0, saved = 0;
    read(place.stage), read(place.pass), read(finished), read(saved);
    place.finished = finished != 0;
    if (saved != chunks) read.fail("it is of other chunks");
    read_sums(read, place.columns, place.moments);
    for (int64_t c = 0; c < chunks; ++c) take(place, c, infer::read_place(read));
    return place;
  });
}

}  // namespace snug
