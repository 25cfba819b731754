/** Training data of models that take pictures with their text: records, in-context tasks, condition pictures, camera views. */
package org.deft4j.deft.data;
