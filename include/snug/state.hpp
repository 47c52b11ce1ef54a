#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "snug/digest.hpp"

namespace snug {
namespace state {
class Disk;  // state/disk.hpp: what tests put in the place of the real one
}

/// What a record holds. A kind this list does not have is skipped and counted, and kept by compact and merge.
enum class RecordKind : uint16_t {
  measurement = 1,
  tensor_info = 2,
  probe = 3,
  note = 4,
  evaluation = 5,
  sensitivity = 6,
  comparison = 7
};

enum class Access { read, write };
enum class Overwrite { refuse, replace };

constexpr size_t kMaxPayloadBytes = size_t{64} << 20;

struct Record {
  RecordKind kind{};
  Digest key;
  std::vector<std::byte> payload;
};

struct Damage {
  int64_t offset = 0, bytes = 0;
  std::string why;
};

/// What opening a store found. Nothing here but `damage` is out of the ordinary after a kill or a power cut.
struct OpenReport {
  bool created = false;         // there was no store yet, or its creation had been cut short
  int64_t bytes = 0;            // of the file as it was found
  int64_t records = 0;          // live ones
  int64_t superseded = 0;       // older records under the kind and key of a later one
  int64_t unknown = 0;          // records of a kind or encoding of a later snug
  int64_t torn_tail_bytes = 0;  // of an unfinished last record, ignored; opening for write cuts them off
  std::vector<Damage> damage;   // bytes that should have been records; everything around them is kept
};

/// Records by kind and digest in an append-only log, one file. Format: docs/state-format.md.
///
/// A kill at any instant loses at most what was put since the last sync(), and never what is beside it.
/// One writer at a time; readers take no lock and see the records that were whole when they opened.
/// Every member may be called from several threads. Throws Error, of Fault::io where the disk is to blame.
class Store {
 public:
  /// Access::write creates the file where there is none, and fails where another process writes to it (says
  /// which).
  static Store open(const std::filesystem::path& path, Access access);
  static Store open(state::Disk& disk, const std::filesystem::path& path, Access access);
  ~Store();  // syncs, as far as that works: call sync() to know
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;

  bool contains(RecordKind kind, const Digest& key) const;
  std::optional<std::vector<std::byte>> get(RecordKind kind, const Digest& key) const;
  int64_t count(RecordKind kind) const;

  /// Appends a record; a later one replaces an earlier one of the same kind and key, the same payload again
  /// is no-op. After a failed write (a full disk) the file ends with the last whole record, and what was put
  /// before stays.
  void put(RecordKind kind, const Digest& key, std::span<const std::byte> payload);  // <= kMaxPayloadBytes

  /// Returns once everything put so far would survive a power cut.
  void sync();

  /// Every live record, sorted by kind and key: the same whatever the order of writing.
  void for_each(const std::function<void(const Record&)>& visit) const;

  /// Digest of the live records' kinds, keys and payloads in that order. Two shards merged equal one run.
  Digest contents_digest() const;

  OpenReport report() const;

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Two inputs disagree: the payload that sorts first as bytes is kept, whatever the order of the inputs.
struct MergeConflict {
  RecordKind kind{};
  Digest key;
  std::string kept_from, dropped_from;
};

struct MergeReport {
  int64_t records = 0;     // in the merged store
  int64_t bytes = 0;       // of its file
  int64_t duplicates = 0;  // records that several inputs agree on, counted once per further input
  int64_t unknown = 0;
  std::vector<MergeConflict> conflicts;
  std::vector<OpenReport> inputs;
  Digest contents;
};

/// Joins stores into a new one, which appears whole or not at all. `out` may be one of the inputs if it may
/// be replaced.
MergeReport merge(const std::filesystem::path& out, std::span<const std::filesystem::path> inputs,
                  Overwrite overwrite = Overwrite::refuse);
MergeReport merge(state::Disk& disk, const std::filesystem::path& out,
                  std::span<const std::filesystem::path> inputs, Overwrite overwrite);

/// Reads and decodes everything, changes nothing.
OpenReport verify(const std::filesystem::path& path);

struct CompactReport {
  OpenReport before;
  int64_t bytes_after = 0;
};

/// Rewrites a store without damage and superseded records, in canonical order: equal contents give equal
/// bytes. The old file stays until the new one is synced. Takes the writer's lock.
CompactReport compact(const std::filesystem::path& path);
CompactReport compact(state::Disk& disk, const std::filesystem::path& path);

}  // namespace snug
