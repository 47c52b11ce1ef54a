#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "support/scratch.hpp"

namespace snug::test {

struct Outcome {
  int exit_code;
  std::string out, err;
};

/// Runs the program in a folder of its own, as a shell would.
class RunProgram : public testing::Test {
 protected:
  /// `before` goes in front of the program, e.g. "ulimit -f 10;". Standard input is empty unless it pipes.
  Outcome snug(const std::string& arguments, const std::string& before = "") {
    const bool pipes = before.ends_with("|");
    const std::string command = "cd '" + scratch_.path().string() + "'; (" + before + " '" SNUG_BINARY "' " +
                                arguments + ") >out.txt 2>err.txt" + (pipes ? "" : " </dev/null");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents("out.txt"),
            contents("err.txt")};
  }

  /// Of a file there, or anywhere if `name` is a whole path.
  std::string contents(const std::filesystem::path& name) const {
    std::ifstream in{scratch_.path() / name, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream{scratch_ / name, std::ios::binary} << text;
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(scratch_ / name); }

  Scratch scratch_;
};

}  // namespace snug::test
