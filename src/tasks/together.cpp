#include "tasks/together.h"

#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"

namespace mpibert {

using nlohmann::json;

void together(Exchange& exchange, const std::function<void()>& f) {
  std::exception_ptr error;
  json mine = nullptr;
  try {
    f();
  } catch (const Error& e) {
    error = std::current_exception();
    mine = {{"kind", static_cast<int>(e.kind())}, {"what", e.what()}};
  } catch (const std::exception& e) {
    error = std::current_exception();
    mine = {{"kind", static_cast<int>(ErrorKind::kCommunication)}, {"what", e.what()}};
  }
  const std::vector<std::string> all = exchange.all_gather(mine.dump(-1, ' ', false, json::error_handler_t::replace));
  if (error) std::rethrow_exception(error);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const json theirs = json::parse(all[rank]);
    if (!theirs.is_null())
      throw Error(static_cast<ErrorKind>(theirs.at("kind").get<int>()), str_cat("rank ", rank, ": ", theirs.at("what").get<std::string>()));
  }
}

}  // namespace mpibert
