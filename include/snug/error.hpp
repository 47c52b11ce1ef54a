#pragma once

#include <exception>
#include <string>

namespace snug {

/// What kind of failure it is; the command line's exit code is the same number.
enum class Fault { bad_input = 1, usage = 2, unreachable_budget = 3, interrupted = 4, io = 5 };

/// The one exception of the library: what is wrong, where (path, offset, row), and how to mend it.
class Error : public std::exception {
 public:
  explicit Error(std::string problem, std::string where = {}, std::string remedy = {},
                 Fault fault = Fault::bad_input);

  const char* what() const noexcept override { return full_.c_str(); }  // all three parts, a line each
  const std::string& problem() const noexcept { return problem_; }
  const std::string& where() const noexcept { return where_; }
  const std::string& remedy() const noexcept { return remedy_; }
  Fault fault() const noexcept { return fault_; }

 private:
  std::string problem_, where_, remedy_, full_;
  Fault fault_;
};

/// An Error of Fault::io from the current errno: "cannot <action>: <strerror>".
Error io_error(const std::string& action, const std::string& where, const std::string& remedy = {});

}  // namespace snug
