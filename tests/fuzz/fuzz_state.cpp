#include <cstdlib>
#include <exception>
#include <string>

#include "snug/error.hpp"
#include "snug/state.hpp"
#include "state/record_log.hpp"
#include "tests/state/scratch_disk.hpp"

// Opens arbitrary bytes as a store, walks it, appends, compacts and merges it. Beside crashes, these are
// found: a store whose contents a rewrite changes, and one that is not sound afterwards.
//
// A first byte of 1 says that the headers which follow are to be made sound, so that what lies behind is
// reached.

using namespace snug;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

/// Puts right checksums wherever a record header would be read next.
void make_sound(test::ScratchDisk::Bytes& bytes) {
  using namespace state;
  const auto header = file_header();
  if (bytes.size() < sizeof header) return;
  std::memcpy(bytes.data(), &header, sizeof header);
  for (size_t at = sizeof header; at + sizeof(RecordHeader) <= bytes.size();) {
    auto record = read_struct<RecordHeader>(std::span{bytes}.subspan(at));
    record.stored_bytes %= 200;
    record.kind = static_cast<RecordKind>(static_cast<uint16_t>(record.kind) % 6);
    record.header_crc32c = header_crc(record, static_cast<int64_t>(at));
    const size_t end = at + sizeof record + record.stored_bytes;
    std::memcpy(bytes.data() + at, &record, sizeof record);
    if (end > bytes.size()) return;
    record.crc32c = crc32c(std::span{bytes}.subspan(at + 4, end - at - 4));
    std::memcpy(bytes.data() + at, &record, sizeof record);
    at = end;
  }
}

void rewrite_and_check(test::ScratchDisk& disk, const Digest& contents) {
  compact(disk, "s");
  const Store compacted = Store::open(disk, "s", Access::read);
  require(compacted.contents_digest() == contents);
  require(compacted.report().damage.empty() && compacted.report().torn_tail_bytes == 0);
  const std::vector<std::filesystem::path> inputs{"s", "s"};
  require(merge(disk, "out", inputs, Overwrite::refuse).contents == contents);
  require(disk.bytes("out") == disk.bytes("s"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span{data, size});
  test::ScratchDisk::Bytes bytes{input.begin() + 1, input.end()};
  if (data[0] == 1) make_sound(bytes);
  test::ScratchDisk disk;
  disk.place("s", bytes);
  try {
    Store::open(disk, "s", Access::read).for_each([](const Record&) {});
    require(disk.bytes("s") == bytes);
    Digest contents;
    {
      Store store = Store::open(disk, "s", Access::write);
      store.put(RecordKind::note, Digest{}, input.first(size % 100));
      contents = store.contents_digest();
    }
    require(Store::open(disk, "s", Access::read).contents_digest() == contents);
    rewrite_and_check(disk, contents);
  } catch (const Error&) {  // no store: it says so
    require(disk.bytes("s") == bytes);
  }
  return 0;
}
