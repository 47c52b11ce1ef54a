#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "base/files/output_path.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "snug/state.hpp"
#include "state/store_index.hpp"

namespace snug {

using namespace state;

namespace {

/// A log opened for reading, or locked by us.
struct Source {
  std::string where;
  std::unique_ptr<File> file;
  Scan found;
  Index index;

  Source(std::unique_ptr<File> opened, const std::filesystem::path& path)
      : where(path.string()), file(std::move(opened)), found(scan(*file, where)), index(found.places) {}
};

/// A store written from the start beside the place where it shall be, and put there whole.
class NewStore {
 public:
  NewStore(Disk& disk, const std::filesystem::path& path)
      : disk_(disk), path_(path), part_(create_locked_beside(disk, path)) {
    pending_.reserve(2 * kFlushBytes);
    append_bytes(bytes_of(header_));
  }
  ~NewStore() {
    if (!placed_) disk_.remove(part_.name);
  }
  NewStore(const NewStore&) = delete;
  NewStore& operator=(const NewStore&) = delete;

  void append(const RecordName& name, std::span<const std::byte> payload) {
    append_bytes(make_record(name.kind, name.key, payload, size()));
  }
  void append(const RecordHeader& header, std::span<const std::byte> stored) {
    append_bytes(make_record(header, stored, size()));
  }
  int64_t size() const { return written_ + std::ssize(pending_); }

  void place() {
    flush();
    part_.file->sync();
    disk_.rename(part_.name, path_);
    placed_ = true;
    disk_.sync_folder_of(path_);
  }

 private:
  void append_bytes(std::span<const std::byte> bytes) {
    pending_.insert(pending_.end(), bytes.begin(), bytes.end());
    if (pending_.size() >= kFlushBytes) flush();
  }
  void flush() {
    part_.file->write_at(written_, pending_);
    written_ += std::ssize(pending_);
    pending_.clear();
  }

  static constexpr size_t kFlushBytes = 1 << 20;

  Disk& disk_;
  std::filesystem::path path_;
  Disk::NewFile part_;
  const FileHeader header_ = file_header();
  std::vector<std::byte> pending_;
  int64_t written_ = 0;
  bool placed_ = false;
};

using StoredRecord = std::pair<RecordHeader, std::vector<std::byte>>;

/// Records of a later version, each once, in an order that does not depend on where they lay.
std::vector<StoredRecord> unknown_records(std::span<const Source> sources) {
  std::vector<StoredRecord> all;
  for (const Source& source : sources)
    for (const Place& place : source.index.unknown)
      all.emplace_back(place.header, read_stored(*source.file, place));
  const auto name = [](const StoredRecord& r) {
    return std::tie(r.first.kind, r.first.key, r.first.encoding, r.second);
  };
  std::ranges::stable_sort(all, [&](const auto& a, const auto& b) { return name(a) < name(b); });
  const auto same = [&](const auto& a, const auto& b) { return name(a) == name(b); };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
  return all;
}

/// The choice between payloads of one name, and what it was made from.
struct Chosen {
  size_t source;
  std::vector<std::byte> payload;
};

Chosen choose(const RecordName& name, std::span<const Source> sources, MergeReport& report) {
  std::optional<Chosen> best;
  for (size_t s = 0; s < sources.size(); ++s) {
    const auto found = sources[s].index.live.find(name);
    if (found == sources[s].index.live.end()) continue;
    Chosen next{s, payload_at(*sources[s].file, found->second, sources[s].where)};
    if (!best) {
      best = std::move(next);
    } else if (best->payload == next.payload) {
      ++report.duplicates;
    } else {
      if (next.payload < best->payload) std::swap(*best, next);
      report.conflicts.push_back(
          {name.kind, name.key, sources[best->source].where, sources[next.source].where});
    }
  }
  return *std::move(best);
}

std::set<RecordName> all_names(std::span<const Source> sources) {
  std::set<RecordName> names;
  for (const Source& source : sources)
    for (const auto& [name, place] : source.index.live) names.insert(name);
  return names;
}

/// Whatever lies under `out` is only replaced if it is a store that nobody writes to; its lock is kept
/// meanwhile.
std::unique_ptr<File> claim(Disk& disk, const std::filesystem::path& out, Overwrite overwrite) {
  if (!disk.exists(out)) return nullptr;
  if (overwrite == Overwrite::refuse)
    throw Error{"the output exists already", out.string(), "name another output, or ask for it to be replaced",
                Fault::io};
  auto file = open_locked(disk, out, Disk::Open::write);
  scan(*file, out.string());
  return file;
}

void append_unknown(NewStore& store, std::span<const Source> sources, int64_t& count) {
  for (const auto& [header, stored] : unknown_records(sources)) {
    store.append(header, stored);
    ++count;
  }
}

}  // namespace

MergeReport merge(Disk& disk, const std::filesystem::path& out, std::span<const std::filesystem::path> inputs,
                  Overwrite overwrite) {
  MergeReport report;
  const auto claimed = claim(disk, out, overwrite);
  std::vector<Source> sources;
  for (const auto& input : inputs) {
    sources.emplace_back(disk.open(input, Disk::Open::read), input);
    report.inputs.push_back(report_of(sources.back().found, sources.back().index));
  }
  NewStore merged{disk, out};
  for (const RecordName& name : all_names(sources)) {
    merged.append(name, choose(name, sources, report).payload);
    ++report.records;
  }
  append_unknown(merged, sources, report.unknown);
  report.bytes = merged.size();
  merged.place();
  report.contents = Store::open(disk, out, Access::read).contents_digest();
  return report;
}

MergeReport merge(const std::filesystem::path& out, std::span<const std::filesystem::path> inputs,
                  Overwrite overwrite) {
  check_folder_of(follow_links(out));
  return merge(real_disk(), follow_links(out), inputs, overwrite);
}

OpenReport verify(const std::filesystem::path& path) {
  return Store::open(path, Access::read).report();
}

CompactReport compact(Disk& disk, const std::filesystem::path& path) {
  std::vector<Source> sources;
  sources.emplace_back(open_locked(disk, path, Disk::Open::write), path);
  const Source& source = sources.front();
  CompactReport report;
  report.before = report_of(source.found, source.index);
  NewStore compacted{disk, path};
  for (const auto& [name, place] : source.index.live)
    compacted.append(name, payload_at(*source.file, place, source.where));
  int64_t unknown = 0;
  append_unknown(compacted, sources, unknown);
  report.bytes_after = compacted.size();
  compacted.place();
  return report;
}

CompactReport compact(const std::filesystem::path& path) {
  return compact(real_disk(), follow_links(path));
}

}  // namespace snug
