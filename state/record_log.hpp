#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "snug/state.hpp"
#include "state/disk.hpp"
#include "state/state_layout.hpp"

namespace snug::state {

bool known(RecordKind kind);

/// Where a record lies.
struct Place {
  int64_t offset = 0;
  RecordHeader header;

  int64_t end() const { return offset + kRecordHeaderBytes + header.stored_bytes; }
  bool known() const;  // of a kind and encoding that this version reads
};

/// What a scan of a whole file found.
struct Scan {
  bool blank = false;         // nothing but the beginning of a file header: creation was cut short
  std::vector<Place> places;  // of whole records, in file order
  std::vector<Damage> damage;
  int64_t file_bytes = 0;
  int64_t end = 0;  // where the next record goes; behind it only a torn tail
};

/// Reads all of a file in bounded memory, in time linear in its size whatever it holds.
/// Throws Error if it is no state store, or one of a later version; `where` names it.
Scan scan(const File& file, const std::string& where);

/// The payload at a place, checksums verified again, decoded; nothing if it is damaged. place.known() must
/// hold.
std::optional<std::vector<std::byte>> read_payload(const File& file, const Place& place);

/// The bytes of the record at a place, to be placed at another offset.
std::vector<std::byte> read_stored(const File& file, const Place& place);

/// A whole record as it lies at `offset`: header and payload.
std::vector<std::byte> make_record(RecordKind kind, const Digest& key, std::span<const std::byte> payload,
                                   int64_t offset);
std::vector<std::byte> make_record(RecordHeader header, std::span<const std::byte> stored, int64_t offset);

}  // namespace snug::state
