#include "base/files/mapped_faults.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "snug/error.hpp"

namespace snug {
namespace {

/// A mapped file. A signal handler may take no lock: `begin` is set last and cleared first.
struct Mapping {
  std::atomic<uintptr_t> begin{0};
  std::atomic<size_t> size{0};
  std::atomic<const char*> name{nullptr};
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

constexpr uintptr_t kTaken = 1;      // a slot that is being filled in
std::array<Mapping, 4096> mappings;  // files beyond that many end without their name

const Mapping* mapping_at(uintptr_t address) {
  for (const Mapping& mapping : mappings) {
    const uintptr_t begin = mapping.begin;
    if (begin > kTaken && address >= begin && address - begin < mapping.size) return &mapping;
  }
  return nullptr;
}

void say(std::string_view text) {
  if (write(STDERR_FILENO, text.data(), text.size()) < 0) return;  // nothing can be done about it here
}

void say(uint64_t number) {
  char digits[20];
  char* at = digits + sizeof digits;
  do *--at = static_cast<char>('0' + number % 10);
  while (number /= 10);
  say({at, static_cast<size_t>(digits + sizeof digits - at)});
}

void on_bus_error(int number, siginfo_t* info, void*) {
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  const Mapping* mapping = mapping_at(address);
  if (!mapping) {
    signal(number, SIG_DFL);
    raise(number);
    return;
  }
  static std::atomic_flag is_said = ATOMIC_FLAG_INIT;
  while (is_said.test_and_set()) pause();  // another thread says it, and ends the process
  say("\nsnug: the file got shorter while it was read, or its disk fails\n  where: ");
  say(mapping->name.load());
  say(": byte ");
  say(address - mapping->begin);
  say("\n  try:   make the file whole, then run the same command again: what was finished is saved\n");
  _exit(static_cast<int>(Fault::io));
}

}  // namespace

void install_mapped_fault_handler() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

void remember_mapping(std::span<const std::byte> bytes, const char* name) noexcept {
  for (Mapping& mapping : mappings) {
    uintptr_t free = 0;
    if (!mapping.begin.compare_exchange_strong(free, kTaken)) continue;
    mapping.size = bytes.size();
    mapping.name = name;
    mapping.begin = reinterpret_cast<uintptr_t>(bytes.data());
    return;
  }
}

void forget_mapping(const std::byte* begin) noexcept {
  for (Mapping& mapping : mappings) {
    auto same = reinterpret_cast<uintptr_t>(begin);
    if (same > kTaken && mapping.begin.compare_exchange_strong(same, 0)) return;
  }
}

void touch(std::span<const std::byte> bytes) noexcept {
  constexpr size_t kPage = 4096;
  for (size_t at = 0; at < bytes.size(); at += kPage) {
    [[maybe_unused]] const volatile std::byte seen = bytes[at];
  }
  if (!bytes.empty()) {
    [[maybe_unused]] const volatile std::byte seen = bytes.back();
  }
}

}  // namespace snug
