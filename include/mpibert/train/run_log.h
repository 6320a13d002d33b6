#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace mpibert {

// What is known of one training step. Losses and norm are those of this step over the whole global batch; rates are means since the last
// report.
struct StepReport {
  int64_t step = 0, total_steps = 0;  // steps done, counting this one
  double epoch = 0, loss = 0, gradient_norm = 0, learning_rate = 0;
  std::vector<std::pair<std::string, double>> losses{};  // by term: "mlm", "nsp"; and accuracies: "mlm_accuracy"
  int64_t samples = 0, skipped = 0;                      // since the run began
  double loss_scale = 1;                                 // of the next step; 1: none
  double step_ms = 0, data_ms = 0, comm_ms = 0, optimizer_ms = 0;
  double tokens_per_second = 0, samples_per_second = 0, flops_per_second = 0, peak_flops_per_second = 0, eta_seconds = 0;
};

// "step 1001/100000 | loss 2.3146 | norm 1.23 | lr 9.98e-05 | 640 ms (data 0 %, comm 4 %) | 41.2 % MFU | 51.2k tok/s | skip 0 | eta 17:36".
// Without a known peak the speed is given in GFLOP/s instead of MFU; with a loss scale it says "| skip 1 | scale 32768 |".
std::string line_for_people(const StepReport& report);
// {"v":1,"step":1001,...}: numbers read back to the same bits.
std::string line_for_programs(const StepReport& report);

// metrics.jsonl of a run: one JSON object a line, appended and flushed. A torn last line of a killed run is cut off when it is opened
// again.
class RunLog {
 public:
  explicit RunLog(const std::filesystem::path& path);
  void step(const StepReport& report);
  // {"v":1,"event":NAME, and `fields`}: a value is JSON text already.
  void event(const std::string& name, const std::vector<std::pair<std::string, std::string>>& fields);

 private:
  void write(const std::string& line);
  std::filesystem::path path_;
  std::ofstream out_;
};

// A string as JSON text, and a time span as "1:02:03".
std::string json_string(std::string_view text);
std::string json_number(double value);  // null where JSON has no number for it
std::string duration_text(double seconds);

}  // namespace mpibert
