#include "mpibert/train/run_log.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"
#include "mpibert/base/file.h"
#include "mpibert/base/log.h"
#include "mpibert/base/options.h"

namespace mpibert {

namespace {

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), format, values...);
  return text.data();
}

std::string rate_text(double per_second) {
  return per_second >= 1e6   ? formatted("%.2fM", per_second / 1e6)
         : per_second >= 1e3 ? formatted("%.1fk", per_second / 1e3)
                             : formatted("%.0f", per_second);
}

double percent(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

}  // namespace

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_number(double value) { return std::isfinite(value) ? number_text(value) : "null"; }

std::string duration_text(double seconds) {
  const auto total = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  return total >= 3600 ? formatted("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60)
                       : formatted("%lld:%02lld", total / 60, total % 60);
}

std::string line_for_people(const StepReport& r) {
  const std::string speed = r.peak_flops_per_second > 0 ? formatted("%.1f %% MFU", percent(r.flops_per_second, r.peak_flops_per_second))
                                                        : formatted("%.1f GFLOP/s", r.flops_per_second / 1e9);
  return str_cat(
      "step ", r.step, "/", r.total_steps, formatted(" | loss %.4f | norm %.3g | lr %.3g", r.loss, r.gradient_norm, r.learning_rate),
      formatted(" | %.0f ms (data %.0f %%, comm %.0f %%) | ", r.step_ms, percent(r.data_ms, r.step_ms), percent(r.comm_ms, r.step_ms)),
      speed, " | ", rate_text(r.tokens_per_second), " tok/s | skip ", r.skipped,
      r.loss_scale != 1 ? " | scale " + number_text(r.loss_scale) : "", " | eta ", duration_text(r.eta_seconds));
}

std::string line_for_programs(const StepReport& r) {
  std::string out = str_cat("{\"v\":1,\"step\":", r.step, ",\"epoch\":", json_number(r.epoch), ",\"loss\":", json_number(r.loss));
  for (const auto& [name, value] : r.losses) out += str_cat(",", json_string(name), ":", json_number(value));
  return str_cat(out, ",\"lr\":", json_number(r.learning_rate), ",\"grad_norm\":", json_number(r.gradient_norm), ",\"skipped\":", r.skipped,
                 ",\"loss_scale\":", json_number(r.loss_scale), ",\"samples\":", r.samples,
                 ",\"tokens_per_s\":", json_number(r.tokens_per_second), ",\"samples_per_s\":", json_number(r.samples_per_second),
                 ",\"flops_per_s\":", json_number(r.flops_per_second), ",\"ms\":{\"step\":", json_number(r.step_ms),
                 ",\"data\":", json_number(r.data_ms), ",\"comm_wait\":", json_number(r.comm_ms), ",\"opt\":", json_number(r.optimizer_ms),
                 "}}");
}

RunLog::RunLog(const std::filesystem::path& path) : path_(path) {
  std::error_code absent;
  const auto size = std::filesystem::file_size(path, absent);
  if (!absent && size > 0) {
    const std::string text = read_file(path, size_t{1} << 33);
    const size_t whole = text.rfind('\n') == std::string::npos ? 0 : text.rfind('\n') + 1;
    if (whole != text.size()) std::filesystem::resize_file(path, whole);
  }
  out_.open(path, std::ios::app | std::ios::binary);
  MPIBERT_CHECK(out_.is_open(), kIo, "cannot open ", path.string(), " to append to it");
}

void RunLog::step(const StepReport& report) { write(line_for_programs(report)); }

void RunLog::event(const std::string& name, const std::vector<std::pair<std::string, std::string>>& fields) {
  std::string line = str_cat("{\"v\":1,\"event\":", json_string(name));
  for (const auto& [key, value] : fields) line += str_cat(",", json_string(key), ":", value);
  write(line + "}");
}

void RunLog::write(const std::string& line) {
  out_ << line << '\n';
  out_.flush();
  if (out_) return;
  out_.clear();  // a full disk must not end the training: this line is lost, the next one is tried
  log_warning("cannot write to ", path_.string(), "; a line of the log is lost. Is the disk full?");
}

}  // namespace mpibert
