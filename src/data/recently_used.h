#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <utility>

namespace mpibert {

// The most recently used values of a function of a number.
template <class Value>
class RecentlyUsed {
 public:
  explicit RecentlyUsed(size_t capacity) : capacity_(capacity) {}
  template <class Make>
  Value& get(int64_t key, Make make) {
    if (const auto found = places_.find(key); found != places_.end()) {
      values_.splice(values_.begin(), values_, found->second);
      return values_.front().second;
    }
    Value value = make();
    if (values_.size() == capacity_) {
      places_.erase(values_.back().first);
      values_.pop_back();
    }
    values_.emplace_front(key, std::move(value));
    places_[key] = values_.begin();
    return values_.front().second;
  }

 private:
  size_t capacity_;
  std::list<std::pair<int64_t, Value>> values_;
  std::unordered_map<int64_t, typename std::list<std::pair<int64_t, Value>>::iterator> places_;
};

}  // namespace mpibert
