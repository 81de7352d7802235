// Prints the first DefectReport heard on /weld/defects. On rcl, which every ROS has.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "rcl/error_handling.h"
#include "rcl/rcl.h"
#include "rosidl_typesupport_cpp/message_type_support.hpp"
#include "weld_interfaces/msg/defect_report.hpp"

using weld_interfaces::msg::DefectReport;

namespace
{

void check(rcl_ret_t status)
{
  if (status != RCL_RET_OK) {
    std::fprintf(stderr, "%s\n", rcl_get_error_string().str);
    std::exit(1);
  }
}

void print(const DefectReport & report)
{
  std::printf(
    "sequence=%llu defective=%d pixels=%u frames=%zu confidence=%.3f end=%d.%09u weld=%s\n",
    static_cast<unsigned long long>(report.sequence), report.defective, report.defect_pixels,
    report.frame_defect_pixels.size(), report.confidence, report.window_end.sec,
    report.window_end.nanosec, report.weld_id.c_str());
  for (const auto & region : report.regions) {
    std::printf(
      "track=%u area=%u x=%u width=%u seam=%.4f\n", region.track_id, region.area,
      region.roi.x_offset, region.roi.width, region.seam_position);
  }
}

}  // namespace

int main(int argc, char ** argv)
{
  auto options = rcl_get_zero_initialized_init_options();
  check(rcl_init_options_init(&options, rcl_get_default_allocator()));
  auto context = rcl_get_zero_initialized_context();
  check(rcl_init(argc, argv, &options, &context));

  auto node = rcl_get_zero_initialized_node();
  auto node_options = rcl_node_get_default_options();
  check(rcl_node_init(&node, "report_listener", "/weld", &context, &node_options));

  auto subscription = rcl_get_zero_initialized_subscription();
  auto subscription_options = rcl_subscription_get_default_options();
  const auto * type =
    rosidl_typesupport_cpp::get_message_type_support_handle<DefectReport>();
  check(rcl_subscription_init(&subscription, &node, type, "defects", &subscription_options));

  DefectReport report;
  rmw_message_info_t info;
  rcl_ret_t status = RCL_RET_SUBSCRIPTION_TAKE_FAILED;
  while (status == RCL_RET_SUBSCRIPTION_TAKE_FAILED) {
    rcl_reset_error();
    status = rcl_take(&subscription, &report, &info, nullptr);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  check(status);
  print(report);

  check(rcl_subscription_fini(&subscription, &node));
  check(rcl_node_fini(&node));
  check(rcl_shutdown(&context));
  return 0;
}
