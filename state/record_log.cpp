#include "state/record_log.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/events.hpp"
#include "base/files/file_kind.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"
#include "state/codec_zstd.hpp"
#include "state/crc32c.hpp"

namespace snug::state {
namespace {

/// A part of the file in memory, moved along by whoever reads forward.
class Window {
 public:
  explicit Window(const File& file)
      : file_(file), size_(file.size()), buffer_(std::clamp<int64_t>(size_, kRecordHeaderBytes, kBytes)) {}

  int64_t size() const { return size_; }

  /// Up to `wanted` bytes (at most kBytes) at an offset; fewer only at the end of the file.
  std::span<const std::byte> at(int64_t offset, int64_t wanted) {
    wanted = std::clamp<int64_t>(size_ - offset, 0, wanted);
    if (offset < begin_ || offset + wanted > begin_ + held_) {
      begin_ = offset;
      held_ = static_cast<int64_t>(file_.read_at(offset, buffer_));
      if (held_ < wanted) size_ = offset + held_;  // a writer cut a torn tail meanwhile
      wanted = std::min(wanted, held_);
    }
    return std::span{buffer_}.subspan(static_cast<size_t>(offset - begin_), static_cast<size_t>(wanted));
  }

  static constexpr int64_t kBytes = 1 << 20;

 private:
  const File& file_;
  int64_t size_, begin_ = 0, held_ = 0;
  std::vector<std::byte> buffer_;
};

bool all_zero(Window& window, int64_t offset) {
  for (; offset < window.size(); offset += Window::kBytes)
    for (const std::byte b : window.at(offset, Window::kBytes))
      if (b != std::byte{}) return false;
  return true;
}

/// The header at an offset if its own checksum holds: only then is its length believed.
std::optional<Place> header_at(Window& window, int64_t offset) {
  const auto bytes = window.at(offset, kRecordHeaderBytes);
  if (std::ssize(bytes) < kRecordHeaderBytes) return {};
  const Place place{offset, read_struct<RecordHeader>(bytes)};
  if (place.header.header_crc32c != header_crc(place.header, offset)) return {};
  return place;
}

bool checksum_holds(Window& window, const Place& place) {
  uint32_t crc = 0;
  for (int64_t at = place.offset + sizeof place.header.crc32c; at < place.end();) {
    const auto part = window.at(at, std::min(Window::kBytes, place.end() - at));
    if (part.empty()) return false;
    crc = crc32c(part, crc);
    at += std::ssize(part);
  }
  return crc == place.header.crc32c;
}

class Scanner {
 public:
  Scanner(const File& file, const std::string& where) : file_(file), window_(file), where_(where) {}

  Scan run() {
    found_.file_bytes = window_.size();
    int64_t at = file_header_end();
    while (at < window_.size()) {
      check_cancelled();
      at = step(at);
    }
    if (found_.end == 0 && !found_.blank) found_.end = window_.size();
    return std::move(found_);
  }

 private:
  /// Where the first record begins.
  int64_t file_header_end() {
    const FileHeader expected = file_header();
    const auto bytes = window_.at(0, kFileHeaderBytes);
    const auto want = bytes_of(expected);
    if (std::ssize(bytes) < kFileHeaderBytes || all_zero_header()) {
      if (!std::ranges::equal(bytes, want.first(bytes.size())) && !all_zero(window_, 0)) refuse();
      found_.blank = true;
      return window_.size();
    }
    if (std::ranges::equal(bytes, want)) return kFileHeaderBytes;
    const auto header = read_struct<FileHeader>(bytes);
    if (header.magic == expected.magic && header.crc32c == crc32c(bytes.first(offsetof(FileHeader, crc32c))))
      throw Error{str("the state store has format version ", header.version, ", this snug reads version ",
                      kFormatVersion),
                  where_, "use the snug that wrote it, or name another store"};
    // Behind the longest record that may be damaged too.
    constexpr int64_t kFarthest = kFileHeaderBytes + kRecordHeaderBytes + int64_t{kMaxPayloadBytes};
    const int64_t first = next_record(kFileHeaderBytes, kFarthest);
    if (first == window_.size()) refuse();
    found_.damage.push_back({0, first, "the file header is damaged"});
    return first;
  }

  /// The offset of the first whole record that begins between two, else the end of the file. A sound header is not
  /// enough: behind damage it may be that of an unfinished record, whose length reaches over later ones.
  int64_t next_record(int64_t offset, int64_t last) {
    last = std::min(last, window_.size() - kRecordHeaderBytes);
    for (; offset <= last && patience_ > 0; ++offset) {
      if (offset % Window::kBytes == 0) check_cancelled();
      const auto place = header_at(window_, offset);
      if (!place || place->end() > window_.size()) continue;
      check_cancelled();
      if (checksum_holds(window_, *place)) return offset;
      patience_ -= place->header.stored_bytes;
    }
    return window_.size();
  }

  bool all_zero_header() { return window_.size() == kFileHeaderBytes && all_zero(window_, 0); }

  [[noreturn]] void refuse() {
    constexpr int64_t kEnough = 512;
    const auto start = window_.at(0, kEnough);
    const auto foreign = foreign_file({reinterpret_cast<const char*>(start.data()), start.size()});
    throw Error{str("not a state store of snug", foreign ? str(": it is ", foreign->what) : ""), where_,
                foreign ? foreign->remedy : "check the path; nothing was changed"};
  }

  /// Takes what lies at an offset where a record should begin; returns where the next one should.
  int64_t step(int64_t at) {
    const auto place = header_at(window_, at);
    if (place && place->end() <= window_.size()) return take(*place);
    if (place || window_.size() - at < kRecordHeaderBytes || all_zero(window_, at)) {
      found_.end = at;  // the record that was being written
      return window_.size();
    }
    const int64_t next = next_record(at + 1, window_.size());
    found_.damage.push_back({at, next - at, "a record's header is damaged"});
    return next;
  }

  int64_t take(const Place& place) {
    if (!checksum_holds(window_, place))
      found_.damage.push_back(
          {place.offset, place.end() - place.offset, "a record's checksum does not match"});
    else if (place.known() && !read_payload(file_, place))
      found_.damage.push_back(
          {place.offset, place.end() - place.offset, "a record's payload cannot be decoded"});
    else
      found_.places.push_back(place);
    return place.end();
  }

  const File& file_;
  Window window_;
  const std::string& where_;
  int64_t patience_ =
      (int64_t{1} << 30) + 16 * window_.size();  // bytes of false records: only made on purpose
  Scan found_;
};

}  // namespace

bool known(RecordKind kind) {
  return kind >= RecordKind::measurement && kind <= RecordKind::comparison;
}

bool Place::known() const {
  return state::known(header.kind) && (header.encoding == Encoding::raw || header.encoding == Encoding::zstd);
}

Scan scan(const File& file, const std::string& where) {
  return Scanner{file, where}.run();
}

std::vector<std::byte> read_stored(const File& file, const Place& place) {
  std::vector<std::byte> stored(place.header.stored_bytes);
  stored.resize(file.read_at(place.offset + kRecordHeaderBytes, stored));
  return stored;
}

std::optional<std::vector<std::byte>> read_payload(const File& file, const Place& place) {
  if (place.header.stored_bytes > kMaxPayloadBytes) return {};
  std::vector<std::byte> stored = read_stored(file, place);
  const uint32_t crc = crc32c(stored, crc32c(bytes_of(place.header).subspan(sizeof place.header.crc32c)));
  if (crc != place.header.crc32c) return {};
  if (place.header.encoding == Encoding::zstd) return decompress(stored);
  return stored;
}

std::vector<std::byte> make_record(RecordHeader header, std::span<const std::byte> stored, int64_t offset) {
  header.stored_bytes = static_cast<uint32_t>(stored.size());
  header.header_crc32c = header_crc(header, offset);
  header.crc32c = crc32c(stored, crc32c(bytes_of(header).subspan(sizeof header.crc32c)));
  std::vector<std::byte> record(sizeof header + stored.size());
  std::memcpy(record.data(), &header, sizeof header);
  std::ranges::copy(stored, record.begin() + sizeof header);
  return record;
}

std::vector<std::byte> make_record(RecordKind kind, const Digest& key, std::span<const std::byte> payload,
                                   int64_t offset) {
  if (payload.size() > kMaxPayloadBytes)
    throw Error{str("a record of ", payload.size(), " bytes is too long"), "",
                str("at most ", kMaxPayloadBytes)};
  RecordHeader header;
  header.kind = kind;
  header.key = key;
  if (const auto smaller = compress(payload)) {
    header.encoding = Encoding::zstd;
    return make_record(header, *smaller, offset);
  }
  return make_record(header, payload, offset);
}

}  // namespace snug::state
