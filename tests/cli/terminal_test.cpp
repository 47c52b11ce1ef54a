// What names and texts out of files say reaches a terminal as text, whichever command shows it, and a pipe as it is.
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "cli/run_program.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "n\x1b]0;title\a\xc2\x9b" "31m";  // a title, and red in one character
constexpr const char* kShown = R"(n\x1b]0;title\x07\xc2\x9b31m)";

class OnTerminal : public test::RunProgram {
 protected:
  OnTerminal() {
    fs::copy_file(test::tiny_model(), scratch_ / "model.gguf");
    fs::copy_file(test::tiny_model(), scratch_ / (std::string{kName} + ".gguf"));
  }

  /// All that the program says to a terminal of its own, on both outputs.
  std::string shown(const std::string& arguments) const {
    int terminal = -1;
    const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
    if (child == 0) {
      const std::string command = "cd '" + scratch_.path().string() + "'; export SNUG_HOME=home XDG_CONFIG_HOME=config; exec '" SNUG_BINARY "' " + arguments;
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    std::string text(1 << 16, '\0');
    std::string all;
    for (ssize_t n; (n = read(terminal, text.data(), text.size())) > 0;) all.append(text, 0, static_cast<size_t>(n));
    close(terminal);
    waitpid(child, nullptr, 0);
    return all;
  }

  /// The program itself clears the line of its progress, and nothing else.
  static std::string without_own(std::string text) {
    const std::string clears = "\r\x1b[K";
    for (size_t at; (at = text.find(clears)) != text.npos;) text.erase(at, clears.size());
    return text;
  }
};

TEST_F(OnTerminal, NothingInNamesIsObeyed) {
  const std::string file = "'" + std::string{kName} + ".gguf'", state = "'" + std::string{kName} + ".snug-state'";
  ASSERT_EQ(snug("fit " + file + " --no-probe --formats q8_0 --bpw 9 -q -o o.gguf --recipe r.json --state " + state).exit_code, 0);
  write("text.txt", std::string(3000, 'a'));
  const std::vector<std::string> naming_it{
      "state show " + state, "state verify " + state, "status " + state, "eval " + file + " -f text.txt --ctx 64 --chunks 1",
      "inspect 'no" + std::string{kName} + "'", "plan " + file + " --no-probe --formats q8_0 --bpw 9 --state " + state};
  std::vector<std::string> commands{"inspect " + file, "inspect " + state, "status " + state + " --json",
                                    "report " + state + " --bpw 9 --csv", "report " + state + " --bpw 9 --json",
                                    "fit " + file + " --bpw nonsense", "bench " + file + " -p 8 -n 1 -r 1"};
  commands.insert(commands.end(), naming_it.begin(), naming_it.end());
  for (const std::string& command : commands) {
    const std::string said = without_own(shown(command));
    EXPECT_FALSE(said.empty()) << command;
    EXPECT_TRUE(std::ranges::count(naming_it, command) == 0 || said.find(kShown) != said.npos) << command << "\n" << said;
    EXPECT_EQ(said.find_first_of("\x1b\a"), said.npos) << command << "\n" << said;
    EXPECT_EQ(said.find("\xc2\x9b"), said.npos) << command << "\n" << said;
  }
}

TEST_F(OnTerminal, APipeGetsTheBytes) {
  const std::string state = std::string{kName} + ".snug-state";
  ASSERT_EQ(snug("measure model.gguf --no-probe --formats q8_0 -q --state '" + state + "'").exit_code, 0);
  EXPECT_NE(snug("state show '" + state + "'").out.find(state), std::string::npos);
}

}  // namespace
}  // namespace snug
