#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace snug {

/// Pages of a mapped file that got shorter, or whose disk fails, cannot be read: the system then sends
/// SIGBUS. With this installed, the process says which file and where on stderr and ends with the exit code
/// of Fault::io; what was saved stays saved. To be called once, before the first file is mapped.
void install_mapped_fault_handler();

/// Files that the handler knows. `name` must live until forget_mapping().
void remember_mapping(std::span<const std::byte> bytes, const char* name) noexcept;
void forget_mapping(const std::byte* begin) noexcept;

/// Reads a byte of every page: where the system refused to take bytes of a file that got shorter (EFAULT),
/// this lets the handler say so.
void touch(std::span<const std::byte> bytes) noexcept;

}  // namespace snug
