// How far all of the work is, and what is said of it beside the state.
#include "fit/progress/job_progress.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "base/events.hpp"
#include "base/progress.hpp"
#include "fit/progress/stage_clock.hpp"
#include "snug/error.hpp"
#include "support/scratch.hpp"

namespace snug {
namespace {

class Receiver final : public Events {
 public:
  void progress(const StageProgress& p) override {
    seen.push_back(p.overall);
    left.push_back(p.overall_seconds_left);
  }
  std::vector<double> seen, left;
};

/// Two stages of 10 seconds once, and 20 seconds of judging in four times, for two sizes.
Forecast three_stages() {
  Forecast forecast;
  forecast.stages = {{.name = "measuring", .seconds = 10},
                     {.name = "probing", .seconds = 10},
                     {.name = "judging", .seconds = 20, .times = 4, .of_each_size = true}};
  return forecast;
}

StageProgress at(const char* stage, int64_t done, bool ended = false) {
  return {.stage = stage, .total = 10, .done = done, .what = {}, .ended = ended};
}

class JobProgressTest : public testing::Test {
 protected:
  static JobStatus two_sizes() {
    JobStatus status = own_status();
    status.sizes = 2;
    return status;
  }

  test::Scratch scratch_;
  const std::filesystem::path state_ = scratch_ / "a.snug-state";
};

TEST_F(JobProgressTest, CountsStagesByWhatTheyWereExpectedToTake) {
  Receiver receiver;
  JobProgress job{receiver, three_stages(), state_, two_sizes()};
  for (const auto& [p, overall] : std::vector<std::pair<StageProgress, double>>{
           {at("measuring", 5), 0.125},
           {at("measuring", 10, true), 0.25},
           {at("probing, round 1", 5), 0.375},
           {at("probing, round 1", 10, true), 0.5},
           {at("judging", 10, true), 0.625}}) {
    job.progress(p);
    EXPECT_DOUBLE_EQ(receiver.seen.back(), overall) << p.stage;
  }
  job.begin_size(2, "second.gguf");  // what judging was spared is behind us
  job.progress(at("judging", 0));
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.75);
  job.progress(at("repacking", 3));  // of no forecast
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.75);
  EXPECT_EQ(read_status(state_)->output, "second.gguf");
}

TEST_F(JobProgressTest, SkipsWhatIsKnownAndNeverGoesBack) {
  Receiver receiver;
  JobProgress job{receiver, three_stages(), state_, two_sizes()};
  job.progress(at("judging", 0));
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.5);
  job.progress(at("judging", 10));
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.625);
  job.progress(at("measuring", 1));  // counted as known already
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.625);
}

/// What a stage takes while it is under way tells of the pace as what is behind does: else time left would rise through
/// every long stage.
TEST_F(JobProgressTest, TimeLeftGoesByTheStageUnderWayToo) {
  Receiver receiver;
  JobProgress job{receiver, three_stages(), state_, two_sizes()};
  std::this_thread::sleep_for(std::chrono::milliseconds{100});
  job.progress(at("measuring", 5));  // 5 of 40 seconds in a tenth of one: 0.7 s are left, not 35
  EXPECT_LT(receiver.left.back(), 20);
  const StageProgress known{.stage = "measuring", .total = 10, .done = 5, .known = 5, .what = {}};
  JobProgress other{receiver, three_stages(), state_, two_sizes()};
  other.progress(known);
  EXPECT_DOUBLE_EQ(receiver.left.back(), 35) << "what was known tells nothing of the pace";
}

TEST_F(JobProgressTest, AStageThatIsStoppedIsAsFarAsItCame) {
  Receiver receiver;
  JobProgress job{receiver, three_stages(), state_, two_sizes()};
  StageClock clock{job};
  const EventScope scope{clock};
  const auto stage = [](const char* name, int64_t done, bool stops) {
    Progress progress{name, 10, Progress::Unit::items};
    progress.advance(done);
    if (stops) throw Error{"interrupted"};
  };
  stage("measuring", 10, false);
  EXPECT_THROW(stage("probing", 5, true), Error);
  EXPECT_DOUBLE_EQ(receiver.seen.back(), 0.375);
  EXPECT_TRUE(clock.finished().contains("measuring"));
  EXPECT_FALSE(clock.finished().contains("probing")) << "the next start is to do it";
  EXPECT_TRUE(clock.times().contains("probing"));
}

TEST_F(JobProgressTest, WithoutAForecastItKnowsTheStageAlone) {
  Receiver receiver;
  const std::filesystem::path place = scratch_ / "jobs" / "quantize-1";
  JobProgress job{receiver, place, own_status()};
  job.progress({.stage = "writing", .total = 10, .done = 4, .known = 2, .seconds = 3, .what = {}});
  EXPECT_EQ(receiver.seen.back(), -1) << "the terminal shows the stage then";
  const JobStatus status = read_status(place).value();
  EXPECT_EQ(status.overall, -1);
  EXPECT_DOUBLE_EQ(status.stage_share, 0.4);
  EXPECT_DOUBLE_EQ(status.seconds_left, 9);
  job.finish();
  EXPECT_EQ(read_status(place)->overall, 1);
}

TEST_F(JobProgressTest, SaysHowItEnded) {
  Receiver receiver;
  {
    JobProgress job{receiver, three_stages(), state_, own_status()};
    job.begin_size(1, "a.gguf");
    EXPECT_EQ(read_status(state_)->phase, JobStatus::Phase::running);
    EXPECT_EQ(process_of(*read_status(state_)), Process::runs);
    job.finish();
  }
  EXPECT_EQ(read_status(state_)->phase, JobStatus::Phase::finished);
  EXPECT_DOUBLE_EQ(read_status(state_)->overall, 1);
  {
    JobProgress job{receiver, three_stages(), state_, own_status()};
    job.begin_size(1, "a.gguf");
    job.stop("interrupted");
  }
  EXPECT_EQ(read_status(state_)->phase, JobStatus::Phase::stopped);
  EXPECT_EQ(read_status(state_)->error, "interrupted");
}

TEST_F(JobProgressTest, LeavesNothingWhereNothingWasBegun) {
  Receiver receiver;
  { JobProgress job{receiver, three_stages(), state_, own_status()}; }
  EXPECT_FALSE(read_status(state_));
}

TEST(JobStatusTest, SurvivesTheFile) {
  JobStatus status = own_status();
  status.model = "a model with spaces";
  status.stage = "probing, round 2";
  status.overall = 0.375;
  status.error = "the disk is full\nsecond line";
  status.folder = "/" + std::string(200, 'f') + "/a\\nd \\\\ b";  // names are used as such again
  EXPECT_EQ(parse_job_status(to_text(status), "here"), status);
  EXPECT_EQ(parse_job_status("snug job 1\nphase running\n", "of an earlier version").command, "fit");
  EXPECT_THROW(parse_job_status("snug job 2\nphase running\n", "here"), Error);
}

TEST(JobStatusTest, OfWhoeverWroteItHasSharesAndDates) {
  const JobStatus read = parse_job_status(
      "snug job 1\noverall 1e300\nstage_share nan\nstarted -9223372036854775808\nupdated 9223372036854775807\nseconds_left inf\n", "here");
  EXPECT_EQ(read.overall, 1);
  EXPECT_EQ(read.stage_share, 0);
  EXPECT_EQ(read.started, 0);
  EXPECT_EQ(read.updated, 253'402'300'799);
  EXPECT_LE(read.seconds_left, 253'402'300'799.0);
}

TEST(JobStatusTest, TellsAProcessThatIsGoneFromALaterOneOfItsNumber) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  JobStatus status = own_status();
  status.process = child;
  waitpid(child, nullptr, 0);
  EXPECT_EQ(process_of(status), Process::is_gone);
  status = own_status();
  status.process_start += 1;
  EXPECT_EQ(process_of(status), Process::is_gone);
  status = own_status();
  status.host += "-other";
  EXPECT_EQ(process_of(status), Process::is_elsewhere);
}

}  // namespace
}  // namespace snug
