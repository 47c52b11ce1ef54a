#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>
#include <thread>

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
    return run(arguments, before, "out.txt", "err.txt");
  }

  /// From another terminal, while interrupt() waits for what it is to see.
  Outcome snug_beside(const std::string& arguments) { return run(arguments, "", "out-beside.txt", "err-beside.txt"); }

  /// The program, interrupted as by Ctrl-C (or another signal) once it listens for that and `ready` holds.
  /// Nothing comes on its standard input, which stays open.
  Outcome interrupt(const std::string& arguments, const std::function<bool()>& ready = {},
                    int signal = SIGINT) {
    int input[2];
    if (pipe2(input, O_CLOEXEC) != 0) return {-1, "", "no pipe"};
    const pid_t child = fork();
    if (child == 0) {
      dup2(input[0], STDIN_FILENO);
      const std::string command = in_scratch() + "exec '" SNUG_BINARY "' " +
                                  arguments + " >out.txt 2>err.txt";
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    const auto start = std::chrono::steady_clock::now();
    while (!has_ended(child) && !(listens(child) && (!ready || ready())) &&
           std::chrono::steady_clock::now() - start < std::chrono::seconds{60})
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    kill(child, signal);
    int status = 0;
    waitpid(child, &status, 0);
    close(input[0]);
    close(input[1]);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents("out.txt"),
            contents("err.txt")};
  }

  /// text.txt: so many words, for models of little stories.
  void write_text(uint64_t seed, int words) {
    std::mt19937_64 random{seed};
    const std::string all[] = {"the ", "cat ", "was ", "happy. ", "One day ", "Lily ", "saw ", "a big "};
    std::ofstream out{scratch_ / "text.txt"};
    for (int i = 0; i < words; ++i) out << all[random() % 8];
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

 private:
  Outcome run(const std::string& arguments, const std::string& before, const std::string& out, const std::string& err) {
    const bool pipes = before.ends_with("|");
    const std::string command = in_scratch() + "(" + before + " '" SNUG_BINARY "' " + arguments + ") >" + out + " 2>" + err +
                                (pipes ? "" : " </dev/null");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents(out), contents(err)};
  }

  /// Everything of a test stays in its folder, measurements too.
  std::string in_scratch() const {
    const std::string folder = scratch_.path().string();
    return "cd '" + folder + "'; export SNUG_HOME='" + folder + "/measurements' XDG_CONFIG_HOME='" + folder + "/config'; ";
  }

  static std::string status_of(pid_t process, const std::string& key) {
    std::ifstream in{"/proc/" + std::to_string(process) + "/status"};
    for (std::string line; std::getline(in, line);)
      if (line.starts_with(key + ":\t")) return line.substr(key.size() + 2);
    return "";
  }
  static bool has_ended(pid_t process) { return status_of(process, "State").starts_with("Z"); }
  /// Whether the process is the program already, no longer the shell, and catches SIGINT.
  static bool listens(pid_t process) {
    const std::string caught = status_of(process, "SigCgt");
    return status_of(process, "Name") == std::filesystem::path{SNUG_BINARY}.filename() && !caught.empty() &&
           (std::stoull(caught, nullptr, 16) >> (SIGINT - 1) & 1);
  }
};

}  // namespace snug::test
