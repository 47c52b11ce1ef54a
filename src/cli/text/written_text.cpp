#include "cli/text/written_text.hpp"

#include "base/str.hpp"
#include "base/units.hpp"

namespace snug::cli {

namespace {

std::string names_of(const std::vector<std::filesystem::path>& files) {
  std::string names;
  std::uintmax_t bytes = 0;
  for (const auto& file : files) {
    names += str(names.empty() ? "" : ", ", file.filename().string());
    bytes += std::filesystem::file_size(file);
  }
  return str(names, " (", show_count(static_cast<int64_t>(bytes)), " bytes, not counted)");
}

}  // namespace

std::string written_text(const WrittenModel& written) {
  std::string text;
  for (const auto& file : written.files)
    text += str("wrote ", file.string(), ", ", show_count(static_cast<int64_t>(std::filesystem::file_size(file))), " bytes\n");
  if (!written.companions.empty()) text += str("and beside them ", names_of(written.companions), "\n");
  return text + str("as planned to the byte: ", show_count(written.bytes), "; rows read back and compared\n");
}

std::string known_text(const WrittenModel& written) {
  std::string text;
  for (const auto& file : written.files) text += str("known ", file.string(), ": it has these bytes already\n");
  return text;
}

}  // namespace snug::cli
