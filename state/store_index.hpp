#pragma once

#include <compare>
#include <map>
#include <string>
#include <vector>

#include "state/record_log.hpp"

namespace snug::state {

struct RecordName {
  RecordKind kind{};
  Digest key;
  auto operator<=>(const RecordName&) const = default;
};

/// Which records of a log count, in canonical order.
struct Index {
  std::map<RecordName, Place> live;  // the last record of each name
  std::vector<Place> unknown;        // all of them, in file order
  int64_t superseded = 0;

  Index() = default;
  explicit Index(const std::vector<Place>& places);
  void add(const Place& place);
  int64_t count(RecordKind kind) const;
};

OpenReport report_of(const Scan& scan, const Index& index);

/// The payload at a place that was sound when it was scanned; throws Error if it is not so now.
std::vector<std::byte> payload_at(const File& file, const Place& place, const std::string& where);

}  // namespace snug::state
