#pragma once

#include <cstdint>
#include <string>

namespace snug {

/// Seconds since 1970.
int64_t now_in_seconds();

/// A time here, where the machine is; `form` as strftime's, "%Y-%m-%d %H:%M:%S". At most 255 bytes come of it.
std::string local_time(int64_t seconds, const std::string& form);

}  // namespace snug
