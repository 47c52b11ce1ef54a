#include "base/time_of_day.hpp"

#include <chrono>
#include <ctime>

namespace snug {

int64_t now_in_seconds() {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

std::string local_time(int64_t seconds, const std::string& form) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  localtime_r(&time, &parts);
  std::string text(256, '\0');
  text.resize(std::strftime(text.data(), text.size(), form.c_str(), &parts));
  return text;
}

}  // namespace snug
