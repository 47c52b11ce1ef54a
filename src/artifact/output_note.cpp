#include "artifact/output_note.hpp"

#include <cstdint>
#include <sstream>
#include <string_view>
#include <system_error>

#include "base/files/mapped_file.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "snug output";

Digest digest_of_file(const fs::path& file) {
  return digest_of(MappedFile{file}.bytes());
}

int64_t size_of(const fs::path& file) {
  std::error_code missing;
  const auto bytes = fs::file_size(file, missing);
  return missing ? -1 : static_cast<int64_t>(bytes);
}

/// Where the files of an output lie that is a folder, or the file itself and others beside it.
fs::path folder_with(const fs::path& output) {
  std::error_code unknown;
  return fs::is_directory(output, unknown) ? output : folder_of(output);
}

/// Without whatever way a note that is not ours may name.
fs::path file_of(const fs::path& output, const std::string& noted) {
  const fs::path folder = folder_with(output), name = fs::path{noted}.filename();
  return folder == output || output.has_parent_path() ? folder / name : name;
}

/// "1234 out.gguf\n...": sizes and names of files.
KnownOutput begun(std::istream& note, const fs::path& output, int64_t bytes) {
  KnownOutput known{OutputState::begun, {bytes, {}, {}}};
  int64_t size = 0;
  for (std::string name; note >> size && std::getline(note >> std::ws, name);) {
    const fs::path file = file_of(output, name);
    if (const int64_t there = size_of(file); there == size)
      known.written.files.push_back(file);
    else if (there < 0)
      known.is = OutputState::partly;
    else
      return {};
  }
  return known.written.files.empty() ? KnownOutput{} : known;
}

/// "1234 <digest> out.gguf\n...".
KnownOutput finished(std::istream& note, const fs::path& output, int64_t bytes) {
  KnownOutput known{OutputState::finished, {bytes, {}, {}}};
  int64_t size = 0;
  std::string digest, name;
  while (note >> size >> digest && std::getline(note >> std::ws, name)) {
    const fs::path file = file_of(output, name);
    if (size_of(file) != size || digest_of_file(file).hex() != digest) return {};
    known.written.files.push_back(file);
  }
  return known.written.files.empty() ? KnownOutput{} : known;
}

}  // namespace

std::string begun_note(std::span<const OutputFile> files) {
  int64_t bytes = 0;
  std::string lines;
  for (const OutputFile& file : files) {
    bytes += file.bytes;
    lines += str(file.bytes, " ", file.path.filename().string(), "\n");
  }
  return str(kMagic, "\nbegun ", bytes, "\n", lines);
}

std::string finished_note(const WrittenModel& written) {
  std::string text = str(kMagic, "\nfinished ", written.bytes, "\n");
  for (const fs::path& file : written.files)
    text += str(size_of(file), " ", digest_of_file(file).hex(), " ", file.filename().string(), "\n");
  return text;
}

KnownOutput read_output_note(const std::string& note, const fs::path& output) {
  std::istringstream text{note};
  std::string magic, word;
  int64_t bytes = 0;
  if (!std::getline(text, magic) || magic != kMagic || !(text >> word >> bytes)) return {};
  return word == "begun" ? begun(text, output, bytes) : finished(text, output, bytes);
}

void add_file(Hasher& hasher, const fs::path& file) {
  std::error_code missing;
  hasher.add(file.filename().string()).add(static_cast<uint64_t>(size_of(file)));
  const auto time = fs::last_write_time(file, missing);
  hasher.add(missing ? 0 : static_cast<uint64_t>(time.time_since_epoch().count()));
}

}  // namespace snug
