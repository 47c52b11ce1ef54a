#include "fit/progress/job_status.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <sstream>

#include "base/files/atomic_file.hpp"
#include "base/files/read_file.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/time_of_day.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "snug job 1";
constexpr std::array<std::string_view, 3> kPhases{"running", "finished", "stopped"};

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// Field 22 of /proc/<id>/stat; 0 where there is no such process. The name in field 2 may hold spaces and brackets.
uint64_t start_of(int64_t process) {
  std::ifstream in{str("/proc/", process, "/stat")};
  std::string text;
  if (!std::getline(in, text) || text.rfind(')') == text.npos) return 0;
  std::istringstream fields{text.substr(text.rfind(')') + 1)};
  std::string field;
  uint64_t start = 0;
  for (int i = 3; i < 22; ++i) fields >> field;
  return fields >> start ? start : 0;
}

/// Names are used as such again: nothing of them may be lost.
std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n')
      line += "\\n";
    else
      line.append(c == '\\' ? 2 : 1, c);
  }
  return line;
}

std::string lines_again(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    const bool is_escape = line[i] == '\\' && i + 1 < line.size() && (line[i + 1] == 'n' || line[i + 1] == '\\');
    text += !is_escape ? line[i] : line[i + 1] == 'n' ? '\n' : '\\';
    i += is_escape;
  }
  return text;
}

template <class T>
void read(const std::map<std::string, std::string>& lines, const char* word, T& value) {
  const auto found = lines.find(word);
  if (found == lines.end()) return;
  if constexpr (std::is_same_v<T, std::string>)
    value = lines_again(found->second);
  else
    std::istringstream{found->second} >> value;
}

/// Whoever wrote the file: shares are of one, times have a date.
void put_in_range(JobStatus& s) {
  constexpr int64_t kLastSecond = 253'402'300'799;  // of the year 9999
  s.stage_share = s.stage_share >= 0 ? std::min(s.stage_share, 1.0) : 0;
  s.overall = s.overall >= 0 ? std::min(s.overall, 1.0) : -1;
  for (int64_t* time : {&s.started, &s.updated}) *time = std::clamp<int64_t>(*time, 0, kLastSecond);
  if (!(s.seconds_left <= static_cast<double>(kLastSecond))) s.seconds_left = -1;
}

}  // namespace

JobStatus own_status() {
  JobStatus status;
  status.process = getpid();
  status.process_start = start_of(status.process);
  status.host = host_name();
  std::error_code unknown;
  status.folder = fs::current_path(unknown).string();
  status.started = status.updated = now_in_seconds();
  return status;
}

std::string to_text(const JobStatus& s) {
  return str(kMagic, "\nphase ", kPhases[static_cast<size_t>(s.phase)], "\ncommand ", s.command, "\nprocess ", s.process, "\nprocess_start ",
             s.process_start, "\nhost ", one_line(s.host), "\nstarted ", s.started, "\nupdated ", s.updated, "\nmodel ",
             one_line(s.model), "\noutput ", one_line(s.output), "\nfolder ", one_line(s.folder), "\nstage ", one_line(s.stage), "\nstage_share ",
             s.stage_share, "\noverall ", s.overall, "\nseconds_left ", s.seconds_left, "\nsize ", s.size, "\nsizes ",
             s.sizes, "\nerror ", one_line(s.error), "\n");
}

JobStatus parse_job_status(const std::string& text, const std::string& where) {
  std::istringstream in{text};
  std::string line;
  if (!std::getline(in, line) || line != kMagic)
    throw Error{"this is no status, or one of a later snug", where, "use the snug that wrote it"};
  std::map<std::string, std::string> lines;
  while (std::getline(in, line))
    if (const size_t space = line.find(' '); space != line.npos) lines[line.substr(0, space)] = line.substr(space + 1);
  JobStatus s;
  for (size_t i = 0; i < kPhases.size(); ++i)
    if (lines["phase"] == kPhases[i]) s.phase = static_cast<JobStatus::Phase>(i);
  read(lines, "process", s.process), read(lines, "process_start", s.process_start), read(lines, "host", s.host);
  read(lines, "started", s.started), read(lines, "updated", s.updated);
  read(lines, "command", s.command), read(lines, "folder", s.folder);
  read(lines, "model", s.model), read(lines, "output", s.output), read(lines, "stage", s.stage);
  read(lines, "stage_share", s.stage_share), read(lines, "overall", s.overall);
  read(lines, "seconds_left", s.seconds_left), read(lines, "size", s.size), read(lines, "sizes", s.sizes);
  read(lines, "error", s.error);
  put_in_range(s);
  return s;
}

fs::path status_file(const fs::path& state) {
  return fs::path{state} += ".status";
}

void keep_status(const fs::path& state, const JobStatus& status) noexcept try {
  std::error_code failed;  // which the file itself will say
  fs::create_directories(folder_of(status_file(state)), failed);
  AtomicFile file{status_file(state), Existing::replace};
  file.write(to_text(status));
  file.commit_unsynced();
} catch (...) {  // a disk that takes nothing, out of memory: the work itself will say so
}

std::optional<JobStatus> read_status(const fs::path& state) {
  const fs::path file = status_file(state);
  std::error_code unknown;
  if (!fs::is_regular_file(file, unknown)) return std::nullopt;
  return parse_job_status(read_file(file), file.string());
}

Process process_of(const JobStatus& status) {
  if (status.host != host_name()) return Process::is_elsewhere;
  const uint64_t start = start_of(status.process);
  return start != 0 && start == status.process_start ? Process::runs : Process::is_gone;
}

}  // namespace snug
