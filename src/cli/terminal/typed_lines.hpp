#pragma once

#include <string>

namespace snug::cli {

/// Standard input, line by line as it is typed. Ctrl-C ends the wait for a line.
class TypedLines {
 public:
  /// False at the end of input, and where the program was interrupted.
  bool next(std::string& line);

 private:
  void read_more();

  std::string waiting_;
  bool ended_ = false;
};

}  // namespace snug::cli
