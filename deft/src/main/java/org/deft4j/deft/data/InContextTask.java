package org.deft4j.deft.data;

import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * From pictures of some roles to one of another.
 *
 * @param taskType goes into the records
 * @param conditions the roles that are given, in order; at least one
 * @param target the role that is to come out
 * @param descriptions words for roles, in place of {@link RoleDescriptions}
 */
public record InContextTask(String taskType, List<String> conditions, String target, Map<String, String> descriptions) {
  /** Refuses a task without conditions, and roles that come twice. */
  public InContextTask {
    conditions = List.copyOf(conditions);
    descriptions = Map.copyOf(descriptions);
    List<String> roles = Stream.concat(conditions.stream(), Stream.of(target)).toList();
    if (conditions.isEmpty() || roles.stream().distinct().count() < roles.size()) {
      throw new IllegalArgumentException("task from " + conditions + " to " + target
          + ": at least one condition is needed, and every role once");
    }
  }

  /** Named after its conditions, with the usual words. */
  public InContextTask(List<String> conditions, String target) {
    this(String.join("+", conditions), conditions, target, Map.of());
  }

  /** The conditions, then the target: the columns of a row. */
  List<String> columns() {
    return Stream.concat(conditions.stream(), Stream.of(target)).toList();
  }

  /** What a picture of the role is. */
  String description(String role) {
    return descriptions.getOrDefault(role, RoleDescriptions.of(role));
  }
}
