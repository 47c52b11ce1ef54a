#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "artifact/output_note.hpp"
#include "snug/digest.hpp"

namespace snug {

/// A note beside an output, <output>.snug-begun, for as long as its files are being put in place. Killed in that instant,
/// the same call knows, started again, which files it made itself; a call for something else knows nothing of them.
/// Where the call ends in an error the note goes too, unless files of an earlier one still lie there.
class OutputJournal {
 public:
  /// Throws Error of Fault::io where a file that is no such note has its name. Does nothing where `output` is empty.
  explicit OutputJournal(const std::filesystem::path& output);
  ~OutputJournal();
  OutputJournal(const OutputJournal&) = delete;
  OutputJournal& operator=(const OutputJournal&) = delete;

  /// What the call is for. Reads what one for the same left, stopped; `asked` is whether files may be replaced.
  void is_for(const Digest& request, Existing asked);

  /// What may be done with files in the way: until is_for() is known, anything that a note speaks for.
  Existing existing() const { return existing_; }
  const KnownOutput& known() const { return known_; }

  /// To be called when all is written and nothing has its name yet.
  void begin(std::span<const OutputFile> files);

  /// When all files have their names: the note goes.
  void end() noexcept;

 private:
  std::filesystem::path output_, note_;
  std::string text_;  // of the note that was there
  Digest request_;
  Existing existing_ = Existing::refuse;
  KnownOutput known_;
  bool is_begun_ = false;
};

}  // namespace snug
