#include "state/store_index.hpp"

#include <iterator>

#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug::state {

Index::Index(const std::vector<Place>& places) {
  for (const Place& place : places) add(place);
}

void Index::add(const Place& place) {
  if (!place.known())
    unknown.push_back(place);
  else if (!live.insert_or_assign({place.header.kind, place.header.key}, place).second)
    ++superseded;
}

int64_t Index::count(RecordKind kind) const {
  const auto next = static_cast<RecordKind>(static_cast<uint16_t>(kind) + 1);
  return std::distance(live.lower_bound({kind, {}}), live.lower_bound({next, {}}));
}

OpenReport report_of(const Scan& scan, const Index& index) {
  OpenReport report;
  report.bytes = scan.file_bytes;
  report.records = std::ssize(index.live);
  report.superseded = index.superseded;
  report.unknown = std::ssize(index.unknown);
  report.torn_tail_bytes = scan.file_bytes - scan.end;
  report.damage = scan.damage;
  return report;
}

std::vector<std::byte> payload_at(const File& file, const Place& place, const std::string& where) {
  auto payload = read_payload(file, place);
  if (!payload)
    throw Error{"a record of the state store was damaged after it was opened",
                str(where, ": offset ", place.offset),
                "run `snug state verify` on it; what is damaged is measured again", Fault::io};
  return *std::move(payload);
}

}  // namespace snug::state
