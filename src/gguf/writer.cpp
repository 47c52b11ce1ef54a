#include "gguf/writer.hpp"

#include <mutex>
#include <system_error>

#include "base/covered.hpp"
#include "base/files/open_descriptors.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "gguf/layout.hpp"
#include "snug/error.hpp"

namespace snug::gguf {

struct Writer::File {
  File(const Layout::Shard& shard, Existing existing)
      : file(shard.path, existing, shard.bytes), covered(shard.count) {
    file.write_at(0, shard.header);
  }

  AtomicFile file;
  std::mutex mutex;              // of covered
  std::vector<Covered> covered;  // of each of its tensors
};

namespace {

int64_t bytes_of(const OutputTensor& tensor) {
  return data_bytes(tensor.format, {tensor.shape.data(), static_cast<size_t>(tensor.dims)});
}

void refuse_taken_names(const Layout& layout, Existing existing) {
  if (existing == Existing::replace) return;
  std::error_code ignored;
  for (const Layout::Shard& shard : layout.shards)
    if (std::filesystem::exists(shard.path, ignored))
      throw Error{"the output exists already", shard.path.string(),
                  "name another output, or ask for it to be replaced", Fault::io};
}

}  // namespace

Writer::Writer(Layout layout, Existing existing) : layout_(std::move(layout)), existing_(existing) {
  refuse_taken_names(layout_, existing);
  check_open_files(layout_.shards.size());
  shard_of_.resize(layout_.tensors.size());
  for (size_t s = 0; s < layout_.shards.size(); ++s) {
    const Layout::Shard& shard = layout_.shards[s];
    files_.push_back(std::make_unique<File>(shard, existing));
    for (size_t t = shard.first; t < shard.first + shard.count; ++t) {
      shard_of_[t] = s;
      write_padding(t);
    }
  }
}

Writer::~Writer() = default;

void Writer::write_padding(size_t index) {
  constexpr std::array<std::byte, kDefaultAlignment> zeros{};
  const auto end = static_cast<uint64_t>(layout_.offsets[index] + bytes_of(layout_.tensors[index]));
  const uint64_t padding = round_up(end, kDefaultAlignment) - end;
  files_[shard_of_[index]]->file.write_at(static_cast<int64_t>(end), std::span{zeros}.first(padding));
}

void Writer::write(size_t index, int64_t offset, std::span<const std::byte> bytes) {
  const OutputTensor& tensor = layout_.tensors.at(index);
  const int64_t size = bytes_of(tensor);
  const auto count = static_cast<int64_t>(bytes.size());
  const auto where = [&] {
    return str("tensor '", printable(tensor.name), "', bytes ", offset, " + ", count, " of ", size);
  };
  if (offset < 0 || offset > size || count > size - offset)
    throw Error{"written past the end of a tensor", where()};
  File& file = *files_[shard_of_[index]];
  {
    const std::lock_guard lock{file.mutex};
    if (!file.covered[index - layout_.shards[shard_of_[index]].first].add(offset, offset + count))
      throw Error{"a byte of a tensor was written twice", where()};
  }
  file.file.write_at(layout_.offsets[index] + offset, bytes);
}

void Writer::check_whole() const {
  for (size_t t = 0; t < layout_.tensors.size(); ++t) {
    const size_t shard = shard_of_[t];
    if (!files_[shard]->covered[t - layout_.shards[shard].first].is_whole(bytes_of(layout_.tensors[t])))
      throw Error{str("bytes of tensor '", printable(layout_.tensors[t].name), "' were not written"),
                  layout_.shards[shard].path.string()};
  }
}

/// The first file of a split comes last and its predecessor goes first: without it the others are no model,
/// so that a half-placed set is never taken for a whole one.
void Writer::commit() {
  check_whole();
  for (const auto& file : files_) file->file.sync();
  const std::filesystem::path& first = files_[0]->file.path();
  if (files_.size() > 1 && existing_ == Existing::replace && std::filesystem::remove(first))
    sync_directory(folder_of(first));
  size_t waiting = files_.size();
  try {
    for (; waiting > 0; --waiting) files_[waiting - 1]->file.commit();
  } catch (...) {
    std::error_code ignored;
    for (size_t s = waiting; s < files_.size(); ++s) std::filesystem::remove(files_[s]->file.path(), ignored);
    throw;
  }
}

}  // namespace snug::gguf
