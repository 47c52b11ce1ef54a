#include "calibrate/collect_sweep.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/events.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = std::chrono::seconds{2};  // a stage that takes longer is not waited for where all is to end

std::string name_of(int stage, int layers) {
  if (stage == TextSweep::kEmbeddings) return "embeddings";
  return stage == layers ? "head" : str("block ", stage);
}

}  // namespace

CollectSweep::CollectSweep(const Job& job, ColumnSumsByTensor& columns, std::vector<CollectPass>& passes,
                           SaveClock& clock, std::function<void(size_t)> finished)
    : job_{job}, columns_{columns}, passes_{passes}, clock_{clock}, finished_{std::move(finished)} {
  begin();
}

void CollectSweep::begin() {
  sweep_ = std::unique_ptr<TextSweep>{new TextSweep(job_.runner.sweep(job_.first, job_.last))};
}

int CollectSweep::stage_of(const MomentSums& moments) const {
  return std::ranges::find(job_.collected.inputs, moments.input, &MomentInput::name)->stage;
}

/// Unfinished ones with moments of that stage; they follow each other.
std::vector<size_t> CollectSweep::passes_at(int stage) const {
  std::vector<size_t> found;
  for (size_t i = 0; i < passes_.size(); ++i) {
    const auto is_here = [&](const MomentSums& moments) { return stage_of(moments) == stage; };
    if (passes_[i].chunks_done < chunks() && std::ranges::any_of(passes_[i].moments, is_here)) found.push_back(i);
  }
  return found;
}

void CollectSweep::run() {
  const int layers = job_.model.layers();
  Progress progress{"collecting", chunks() * (layers + 2), Progress::Unit::items};
  resume();
  progress.advance(chunks() * (sweep_->stage() + 1));
  while (!sweep_->ended()) {
    const std::string stage = name_of(sweep_->stage(), layers);
    run_stage();
    progress.advance(chunks(), stage);
    if (sweep_->ended()) break;
    if (cancelled() || clock_.due()) clock_.run([&] { save(); });
    if (cancelled()) stop();
  }
  for (CollectPass& pass : passes_) pass.chunks_done = chunks();
}

void CollectSweep::run_stage() {
  const int stage = sweep_->stage();
  const std::vector<size_t> here = passes_at(stage);
  std::vector<MomentSums> none;
  if (here.empty()) return show(none, &columns_, true);
  for (const size_t i : here) {
    CollectPass& pass = passes_[i];
    for (MomentSums& moments : pass.moments)
      if (moments.sums.empty()) moments.allocate();
    show(pass.moments, i == here.front() ? &columns_ : nullptr, i == here.back());
    if (stage_of(pass.moments.back()) == stage) finish(i);
  }
}

void CollectSweep::finish(size_t pass) {
  for (MomentSums& moments : passes_[pass].moments) moments.mirror();
  passes_[pass].chunks_done = chunks();
  finished_(pass);
}

void CollectSweep::show(std::vector<MomentSums>& moments, ColumnSumsByTensor* columns, bool goes_on) {
  PassSums sums{job_.collected, moments, columns};
  const auto start = Clock::now();
  int64_t shown = -1;
  if (!job_.collected.groups.empty())
    sweep_->on_logits = [&](const infer::Weight&, const infer::Activations& logits) { sums.add_logits(logits); };
  try {
    sweep_->show(
        [&](int64_t chunk, const infer::Weight& weight, int64_t matrix, Matrix<const float> inputs) {
          if (cancelled() && Clock::now() - start > kPatience) stop();
          if (std::exchange(shown, chunk) != chunk) sums.begin_chunk();
          sums.add(weight, matrix, inputs);
        },
        goes_on);
  } catch (const Error& error) {
    if (!error.where().empty() || error.fault() == Fault::interrupted) throw;
    throw Error{error.problem(), str(job_.model.source().path().string(), " on chunk ", shown), error.remedy(),
                error.fault()};
  }
}

void CollectSweep::save() {
  CollectPlace place;  // sums are lent to it for as long as it is written
  place.stage = sweep_->stage();
  place.columns = std::move(columns_);
  for (size_t i = 0; i < passes_.size(); ++i)
    if (!passes_[i].moments.empty() && !passes_[i].moments.front().sums.empty()) {
      place.pass = static_cast<int64_t>(i);
      place.finished = passes_[i].chunks_done == chunks();
      place.moments = std::move(passes_[i].moments);
      break;
    }
  save_place(job_.saved, job_.key, place, chunks(), [&](int64_t c) { return sweep_->place(job_.first + c); });
  columns_ = std::move(place.columns);
  if (!place.moments.empty()) passes_[static_cast<size_t>(place.pass)].moments = std::move(place.moments);
  saved_stage_ = sweep_->stage();
}

/// Whether it can be one of this model and these passes.
bool CollectSweep::is_place(const CollectPlace& place) const {
  if (place.stage < 0 || place.stage > job_.model.layers()) return false;
  const auto fits = [&](const auto& entry) {
    const infer::Weight* weight = job_.model.find(entry.first);
    return weight && weight->cols == entry.second.cols && weight->matrices == entry.second.mats;
  };
  if (!std::ranges::all_of(place.columns, fits)) return false;
  if (place.moments.empty()) return true;
  const auto is_same = [](const MomentSums& a, const MomentSums& b) {
    return a.input == b.input && a.dim == b.dim && a.first == b.first && a.mats == b.mats;
  };
  return place.pass >= 0 && place.pass < std::ssize(passes_) &&
         std::ranges::equal(place.moments, passes_[static_cast<size_t>(place.pass)].moments, is_same);
}

void CollectSweep::resume() {
  const auto stand = [&](const CollectPlace& place, int64_t chunk, std::vector<infer::Activations> rows) {
    if (!is_place(place)) throw Error{"it stands where no sweep can"};
    sweep_->stand(static_cast<int>(place.stage), job_.first + chunk, std::move(rows));
  };
  std::optional<CollectPlace> place = load_place(job_.saved, job_.key, chunks(), stand);
  if (!place) return begin();
  columns_ = std::move(place->columns);
  saved_stage_ = sweep_->stage();
  log_line(str("going on before ", name_of(sweep_->stage(), job_.model.layers())));
  if (place->moments.empty()) return;
  CollectPass& pass = passes_[static_cast<size_t>(place->pass)];
  if (pass.chunks_done == chunks()) return;  // it has been finished since
  pass.moments = std::move(place->moments);
  if (place->finished) pass.chunks_done = chunks();
}

void CollectSweep::stop() const {
  throw Error{saved_stage_ ? str("interrupted; what comes before ", name_of(*saved_stage_, job_.model.layers()),
                                 " is saved")
                           : std::string{"interrupted; nothing was saved yet"},
              job_.saved.string(), "run the same command again to go on", Fault::interrupted};
}

}  // namespace snug
