#pragma once

#include <sstream>
#include <string>

namespace snug {

/// The arguments written one after another, as operator<< writes them.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace snug
