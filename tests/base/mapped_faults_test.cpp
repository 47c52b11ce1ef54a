// What a file that gets shorter, and standard descriptors that are closed, do to a process.
#include "base/files/mapped_faults.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <utility>

#include "base/files/atomic_file.hpp"
#include "base/files/mapped_file.hpp"
#include "base/files/open_descriptors.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

/// Reads a byte of every page.
unsigned read_all(const MappedFile& file) {
  unsigned sum = 0;
  for (size_t at = 0; at < file.bytes().size(); at += 4096)
    sum +=
        static_cast<const volatile unsigned char&>(reinterpret_cast<const unsigned char&>(file.bytes()[at]));
  return sum;
}

TEST(MappedFaults, AFileThatGotShorterIsNamed) {
  const test::Scratch scratch;
  const auto path = scratch / "model.gguf";
  std::ofstream{path} << std::string(1 << 20, 'x');
  EXPECT_EXIT(
      {
        install_mapped_fault_handler();
        MappedFile file{path};
        MappedFile moved{std::move(file)};
        std::filesystem::resize_file(path, 100'000);
        read_all(moved);
      },
      testing::ExitedWithCode(static_cast<int>(Fault::io)), "got shorter.*\n.*model.gguf: byte [0-9]+");
}

TEST(MappedFaults, CopyingWhatGotShorterNamesTheSource) {
  const test::Scratch scratch;
  const auto path = scratch / "model.gguf";
  std::ofstream{path} << std::string(1 << 20, 'x');
  const auto copy = [&] {
    install_mapped_fault_handler();
    const MappedFile file{path};
    std::filesystem::resize_file(path, 100'000);
    AtomicFile out{scratch / "out", Existing::refuse};
    out.write(file.bytes().subspan(200'000));
  };
  EXPECT_EXIT(copy(), testing::ExitedWithCode(static_cast<int>(Fault::io)), "got shorter.*\n.*model.gguf");
}

TEST(MappedFaults, OtherFaultsStayWhatTheyAre) {
  EXPECT_EXIT(
      {
        install_mapped_fault_handler();
        raise(SIGBUS);
      },
      testing::KilledBySignal(SIGBUS), "");
}

TEST(OpenDescriptors, ClosedOnesAreTakenByNoFileAndStillRefuseOutput) {
  EXPECT_EXIT(
      {
        for (int fd = 0; fd < 3; ++fd) close(fd);
        open_standard_descriptors();
        const bool above = open("/dev/null", O_RDONLY) > 2;
        const bool refused = write(1, "x", 1) < 0 && write(2, "x", 1) < 0;
        char byte;
        const bool empty = read(0, &byte, 1) == 0;
        _exit(above && refused && empty ? 42 : 1);
      },
      testing::ExitedWithCode(42), "");
}

}  // namespace
}  // namespace snug
