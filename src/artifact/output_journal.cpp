#include "artifact/output_journal.hpp"

#include <system_error>

#include "base/files/atomic_file.hpp"
#include "base/files/output_path.hpp"
#include "base/files/read_file.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "snug begun ";
constexpr uintmax_t kMaxBytes = 1 << 20;  // of a note: a thousand files have names of a hundred letters

/// Beside what a link points to.
fs::path note_of(const fs::path& output) {
  return str(follow_links(without_last_slash(output)).string(), ".snug-begun");
}

/// Empty where there is none.
std::string read_note(const fs::path& note) {
  std::error_code unknown;
  const fs::file_status status = fs::symlink_status(note, unknown);
  if (!fs::exists(status)) return {};
  const bool may_be = fs::is_regular_file(status) && fs::file_size(note, unknown) <= kMaxBytes && !unknown;
  std::string text = may_be ? read_file(note) : "";
  if (!text.starts_with(kMagic))
    throw Error{"another file has the name of the note that is kept while the output is put in place", note.string(),
                "move that file away, or name another output", Fault::io};
  return text;
}

}  // namespace

OutputJournal::OutputJournal(const fs::path& output) : output_(output) {
  if (output.empty()) return;
  note_ = note_of(output);
  text_ = read_note(note_);
  if (!text_.empty()) existing_ = Existing::replace;
}

/// A call that ends in an error has taken away what it put in place itself, not what an earlier one has left.
OutputJournal::~OutputJournal() {
  if (is_begun_ && known_.is == OutputState::unknown) end();
}

void OutputJournal::is_for(const Digest& request, Existing asked) {
  request_ = request;
  const std::string head = str(kMagic, request.hex(), "\n");
  if (text_.starts_with(head)) known_ = read_output_note(text_.substr(head.size()), output_);
  existing_ = known_.is == OutputState::partly ? Existing::replace : asked;
}

void OutputJournal::begin(std::span<const OutputFile> files) {
  if (note_.empty()) return;
  write_file(note_, str(kMagic, request_.hex(), "\n", begun_note(files)), Existing::replace);
  is_begun_ = true;
}

void OutputJournal::end() noexcept {
  std::error_code ignored;
  if (!note_.empty()) fs::remove(note_, ignored);
  is_begun_ = false;
}

}  // namespace snug
